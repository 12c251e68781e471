namespace Caisson.Core.Lifecycle;

/// <summary>Why an owner should bring its run to a halt. A higher one overrules a lower one.</summary>
internal enum StopKind
{
    None = 0,
    /// <summary>At the next step boundary; another node goes on at once.</summary>
    Drain = 1,
    /// <summary>At the next step boundary.</summary>
    Pause = 2,
    /// <summary>Now: tools are interrupted and their files put back.</summary>
    Deadline = 3,
    /// <summary>Now: tools are interrupted, and the box goes.</summary>
    Kill = 4,
    /// <summary>Now: tools are interrupted.</summary>
    Cancel = 5,
}

/// <param name="Input">The inbox row to consume together with the halt, so that a crash in between does not lose it.</param>
internal sealed record StopRequest(StopKind Kind, string By, string? Reason, long? Input);
