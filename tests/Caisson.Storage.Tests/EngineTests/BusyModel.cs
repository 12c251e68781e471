using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>
/// A model that never has enough: each answer asks for a tool, which does not exist and so needs no box, until the tools
/// are off. Reserves a byte as a token, as the gateway does, and uses up what it reserved; a token costs two nano-USD.
/// </summary>
internal sealed class BusyModel : IModels
{
    private const int Output = 64;
    private readonly Lock _lock = new();
    private readonly List<ModelRequest> _sent = [];

    /// <summary>Calls for which bytes left, in order.</summary>
    internal IReadOnlyList<ModelRequest> Sent
    {
        get
        {
            lock (_lock)
                return [.. _sent];
        }
    }

    /// <summary>Tools asked for in one answer.</summary>
    internal int Calls { get; init; } = 1;

    /// <summary>After so many turns it is content; never by default.</summary>
    internal int ContentAfter { get; init; } = int.MaxValue;

    /// <summary>Whether calls reserve anything.</summary>
    internal bool Reserves { get; init; } = true;

    /// <summary>What a call does to the world, by its name.</summary>
    internal Func<string, Task> Act { get; init; } = _ => Task.CompletedTask;

    /// <summary>Where the last call waits.</summary>
    internal Gate? LastGate { get; init; }

    public Failure? Check(string model, bool moneyIsCapped) => null;

    public long DearestOf(string model, long tokens) => 2 * tokens;

    public async Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken)
    {
        var key = log.ModelStep(request.Identity);
        var subject = new StepSubject(StepKind.Model, request.Model, request.Identity, null, null);
        switch (log.Find(key, subject))
        {
            case StepLookup.Recorded recorded:
                return new ModelOutcome.Answered(Answer(Encoding.UTF8.GetString(recorded.Record.Result.Span)), key, true);
            case StepLookup.Drifted drifted:
                return new ModelOutcome.Drifted(drifted.Report);
        }

        var input = request.Messages.Sum(m => (long)Encoding.UTF8.GetByteCount(m.Text)) + (request.Note?.Length ?? 0);
        var output = Math.Min(Output, request.MaxOutputTokens ?? Output);
        var hold = new Hold(2 * (input + output), input + output) { InputTokens = input, OutputTokens = output };
        if (await log.BeginAsync(key, subject, Reserves ? hold : null, cancellationToken) is BeginOutcome.Denied denied)
            return new ModelOutcome.LimitReached(denied.Denial);
        lock (_lock)
            _sent.Add(request);
        var turn = request.Messages.Count(m => m.Role == ModelRole.Assistant);
        var last = request.ToolsOff;
        await Act(last ? "last" : $"turn {turn}");
        if (last && LastGate is { } gate)
            await gate.PassAsync(cancellationToken);
        var text = last ? "wrapped up" : turn >= ContentAfter ? "content" : $"{turn}";
        await log.CompleteAsync(key, subject, new StepResult(Encoding.UTF8.GetBytes(text), Reserves ? new Usage(hold.NanoUsd, input, output) : Usage.None, 1, TimeProvider.System.GetUtcNow()), cancellationToken);
        return new ModelOutcome.Answered(Answer(text), key, false);
    }

    private ModelAnswer Answer(string text) => int.TryParse(text, out var turn)
        ? new ModelAnswer("", [.. Enumerable.Range(0, Calls).Select(i => new ToolCall($"call_{i}", "missing", $$"""{"turn":{{turn}},"call":{{i}}}"""))], "tool_calls", "m", null)
        : new ModelAnswer(text, [], "stop", "m", null);
}
