using System.Collections.Concurrent;
using Caisson.Contracts;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// Checkpoints: no connection to the host may be open while one is taken, so the guest closes them all and dials again.
/// States: connected, detached (streams of commands are parked, no order may be given), connected again. A guest that
/// does not leave in time makes the link lost.
/// </summary>
internal sealed partial class GuestLink
{
    private readonly ConcurrentDictionary<uint, Waiting> _returning = new();
    private bool _detached;
    private TaskCompletionSource _moved = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _retiring;

    /// <summary>Whether the guest has closed its connections for a checkpoint and is to dial again.</summary>
    public bool IsDetached => Volatile.Read(ref _detached);

    /// <summary>Commands under way.</summary>
    public ConcurrentDictionary<uint, CommandChannel> Running { get; } = new();

    /// <summary>
    /// Lets the guest close all its connections, which a checkpoint cannot hold, and go on without the host. Answers a
    /// failure where it cannot: then either nothing was done, or the link is lost.
    /// </summary>
    public async Task<Failure?> DetachAsync(CancellationToken cancellationToken)
    {
        if (Running.Values.Any(c => c.HasInput))
            return new Failure(ErrorCodes.RunConflict, "a command of the box still reads its input", Retryable: true);
        // Before the order: a command may end or park as soon as the guest has it.
        Volatile.Write(ref _detached, true);
        var (_, failure) = await AskAsync(FrameType.Detach, [], "leave", cancellationToken);
        if (failure is not null)
            return failure;
        using var limit = new CancellationTokenSource(OpenLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            // What the guest says comes before what it does: its ends are closed when ours see it.
            if (await _control!.ReadAsync(either.Token) is { } late)
                return new Failure(ErrorCodes.SandboxProtocol, $"the guest broke the protocol: {late.Type} after it had left");
            _control.Dispose();
            while (true)
            {
                var moved = Volatile.Read(ref _moved);
                if (Volatile.Read(ref _retiring) == 0 && Running.Values.All(c => c.IsParked))
                    return null;
                await moved.Task.WaitAsync(either.Token);
            }
        }
        catch (GuestProtocolException e)
        {
            return new Failure(ErrorCodes.SandboxProtocol, e.Message);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            return new Failure(ErrorCodes.SandboxProtocol, $"the box did not close its connections within {OpenLimit}");
        }
    }

    /// <summary>
    /// Lets go of a stream that has said its last. The worker behind it closes it a moment later, and until then a
    /// checkpoint would find it open.
    /// </summary>
    private void Retire(Stream stream)
    {
        Interlocked.Increment(ref _retiring);
        _ = RetireAsync(stream);
    }

    /// <summary>Takes a guest back that was detached and goes on in the same box.</summary>
    public async Task<Failure?> AttachAsync(CancellationToken cancellationToken)
    {
        _controlListener.Dispose();
        _controlListener = Listen(_folder, _directory, "ctl.sock");
        Volatile.Write(ref _detached, false);
        return await GreetAsync(cancellationToken);
    }

    /// <summary>Before a restored guest dials: the streams that it will bring back.</summary>
    public void Foresee(IEnumerable<StreamTicket> tickets)
    {
        foreach (var ticket in tickets)
        {
            // The guest's numbers are those of its former host, and ours must not meet them.
            _lastId = Math.Max(_lastId, ticket.Id);
            _returning[ticket.Id] = _waiting[ticket.Id] = NewWaiting(ticket);
        }
    }

    /// <summary>A stream that the guest brings back. <c>null</c> where the link is lost.</summary>
    public async Task<FrameStream?> ExpectAsync(StreamTicket ticket, CancellationToken cancellationToken)
    {
        if (!_returning.TryRemove(ticket.Id, out var waiting))
            _waiting[ticket.Id] = waiting = NewWaiting(ticket);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _end.Token);
        try
        {
            return (await waiting.Opened.Task.WaitAsync(either.Token)).Stream;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private static Waiting NewWaiting(StreamTicket ticket) =>
        new(ticket.Token, new TaskCompletionSource<(FrameStream?, Failure?)>(TaskCreationOptions.RunContinuationsAsynchronously));

    /// <summary>A command has parked its stream, or has ended.</summary>
    public void Moved() => Interlocked.Exchange(ref _moved, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();

    private async Task RetireAsync(Stream stream)
    {
        await using (stream)
        {
            var rest = new byte[16];
            try
            {
                while (await stream.ReadAsync(rest, _end.Token) > 0)
                {
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                // Gone as well.
            }
        }

        Interlocked.Decrement(ref _retiring);
        Moved();
    }
}
