using Caisson.MockModel.Wire;

namespace Caisson.MockModel.Scripts;

/// <summary>What goes wrong with a reply, so many times. Where it is given, <c>After</c> counts the pieces of a stream that still arrive.</summary>
internal abstract record Fault(long Times)
{
    /// <summary>A refusal; inside a stream, in the form that the wire has for it.</summary>
    public sealed record Status(long Times, Refusal Refusal, int? After) : Fault(Times);

    /// <summary>The answer's first half or first pieces, then the connection is closed.</summary>
    public sealed record Cut(long Times, int? After) : Fault(Times);

    /// <summary>No answer at all or only its first pieces, until the client goes.</summary>
    public sealed record Hang(long Times, int? After) : Fault(Times);

    /// <param name="Body">Sent with status 200; <c>null</c>: the right answer's first half.</param>
    public sealed record Malformed(long Times, string? Body) : Fault(Times);
}
