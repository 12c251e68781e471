using System.Text;
using Caisson.MockModel.Scripts;
using Caisson.MockModel.Wire;
using Microsoft.AspNetCore.Http;

namespace Caisson.MockModel;

/// <summary>The bytes of an answer as they really leave: all of them, or what a fault has made of them.</summary>
/// <param name="Length">What the answer promises; more than its pieces have where it breaks off.</param>
internal sealed record Delivery(IReadOnlyList<ReadOnlyMemory<byte>> Pieces, long Length, DeliveryEnd End)
{
    public static Delivery Of(IWire wire, MockAnswer answer, Fault? fault)
    {
        var streams = answer.Asked.Stream != StreamForm.None;
        IReadOnlyList<ReadOnlyMemory<byte>> pieces = streams ? [.. wire.Stream(answer)] : [wire.Whole(answer)];
        return fault switch
        {
            Fault.Malformed { Body: { } body } => All([Encoding.UTF8.GetBytes(body)]),
            Fault.Malformed => All([pieces[0][..(pieces[0].Length / 2)]]),
            Fault.Cut { After: { } after } when streams => new([.. pieces.Take(after)], 0, DeliveryEnd.Breaks),
            Fault.Cut => new(Half(pieces), pieces[0].Length, DeliveryEnd.Breaks),
            Fault.Hang { After: { } after } => new([.. pieces.Take(after)], 0, DeliveryEnd.Hangs),
            Fault.Status { After: { } after } status => All([.. pieces.Take(after), wire.ErrorPiece(status.Refusal, answer, Math.Min(after, pieces.Count))]),
            _ => All(pieces),
        };
    }

    /// <param name="pace">The time between two pieces.</param>
    public async Task SendAsync(HttpContext context, StreamForm form, TimeSpan pace, TimeProvider time, CancellationToken ending)
    {
        context.Response.ContentType = form == StreamForm.Events ? "text/event-stream" : "application/json";
        if (form == StreamForm.None)
            context.Response.ContentLength = Length;
        // Also where no piece follows: a stream that stands still has begun.
        await context.Response.StartAsync(ending);
        for (var i = 0; i < Pieces.Count; i++)
        {
            if (i > 0 && pace > TimeSpan.Zero)
                await Task.Delay(pace, time, ending);
            await context.Response.Body.WriteAsync(Pieces[i], ending);
            await context.Response.Body.FlushAsync(ending);
        }

        if (End == DeliveryEnd.Hangs)
        {
            await context.Response.Body.FlushAsync(ending);
            await Task.Delay(Timeout.InfiniteTimeSpan, time, ending);
        }

        // Not an abort: its reset would overtake the pieces, and the client might see none of them. After an exception
        // the server closes the connection behind what it has sent, and leaves out the answer's proper end.
        if (End == DeliveryEnd.Breaks)
            throw new IOException("the script breaks the answer off here");
    }

    private static Delivery All(IReadOnlyList<ReadOnlyMemory<byte>> pieces) => new(pieces, pieces[0].Length, DeliveryEnd.Whole);

    private static List<ReadOnlyMemory<byte>> Half(IReadOnlyList<ReadOnlyMemory<byte>> pieces)
    {
        var left = pieces.Sum(p => (long)p.Length) / 2;
        var half = new List<ReadOnlyMemory<byte>>();
        foreach (var piece in pieces.TakeWhile(_ => left > 0))
        {
            half.Add(piece[..(int)Math.Min(left, piece.Length)]);
            left -= piece.Length;
        }

        return half;
    }
}

internal enum DeliveryEnd
{
    Whole,
    Breaks,
    Hangs,
}
