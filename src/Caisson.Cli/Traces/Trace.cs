namespace Caisson.Cli.Traces;

/// <summary>A run as a tree: ownerships, and in each what was done.</summary>
internal sealed record Trace(int Schema, string Run, string Agent, string Status, IReadOnlyList<TraceSegment> Segments);

/// <param name="Reason">Why it began: <c>start</c>, <c>input</c>, <c>due</c>, <c>recovery</c>.</param>
/// <param name="End"><c>crashed</c>, <c>paused</c>, <c>completed</c>, <c>failed</c>, <c>cancelled</c>, <c>released</c>, or <c>open</c> while it lasts.</param>
/// <param name="GapMs">From the last sign of life of the ownership before to this claim.</param>
internal sealed record TraceSegment(
    long Epoch, string Reason, DateTimeOffset At, long Ms, long GapMs, string End, long Tokens, long NanoUsd, long InDoubtNanoUsd, IReadOnlyList<TraceItem> Items);

/// <summary>One line of a segment: a step, a note (pause, limit, drift …), or a bracket around repeated steps.</summary>
/// <param name="Type"><c>step</c>, <c>note</c> or <c>loop</c>.</param>
/// <param name="State">Of a step: <c>ok</c>, <c>failed</c>, or <c>open</c> when its end was never recorded in this ownership.</param>
/// <param name="Count">Of a loop: how often the call came.</param>
/// <param name="Retries">Failed attempts before.</param>
/// <param name="Items">Of a loop: the steps inside.</param>
internal sealed record TraceItem(
    string Type, long Seq, string Kind, string Text, string State, long Ms, long Tokens, long NanoUsd, int Count,
    IReadOnlyList<string> Retries, IReadOnlyList<TraceItem> Items)
{
    /// <summary>Digest of the price table that a model call was billed by, as <c>caisson prices show</c> has it.</summary>
    public string? Prices { get; init; }

    /// <summary>The model that stood in for the one that was asked.</summary>
    public string? AnsweredBy { get; init; }
}
