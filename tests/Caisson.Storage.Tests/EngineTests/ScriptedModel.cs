using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Answers by the number of tool results it is shown, so a replay is answered alike. Holds 10, costs 7.</summary>
internal sealed class ScriptedModel(Func<int, string?> argumentsAt) : IModels
{
    /// <summary>Of the prices that it pretends to go by.</summary>
    private static readonly string Digest = new('5', 64);

    private int _sent;

    internal int Sent => _sent;

    internal List<string?> Notes { get; } = [];

    internal RunSession? Session { get; private set; }

    internal int GateAt { get; init; } = -1;

    internal Gate? Gate { get; init; }

    /// <summary>The tool that it calls; there is none of this name unless somebody says so.</summary>
    internal string Tool { get; init; } = "missing";

    public Failure? Check(string model, bool moneyIsCapped) => null;

    public long DearestOf(string model, long tokens) => 0;

    public async Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken)
    {
        Session = ((StepLog)log).Session;
        var key = log.ModelStep(request.Identity);
        var subject = new StepSubject(StepKind.Model, request.Model, request.Identity, null, null);
        var turn = request.Messages.Count(m => m.Role == ModelRole.Tool);
        var attempt = 1;
        switch (log.Find(key, subject))
        {
            case StepLookup.NotRecorded fresh:
                attempt = fresh.PriorAttempts + 1;
                break;
            case StepLookup.Recorded recorded:
                return new ModelOutcome.Answered(Answer(Encoding.UTF8.GetString(recorded.Record.Result.Span)), key, true);
            case StepLookup.Drifted drifted:
                return new ModelOutcome.Drifted(drifted.Report);
        }

        if (await log.BeginAsync(key, subject, new Hold(10, 10) { Prices = Digest }, cancellationToken) is BeginOutcome.Denied denied)
            return new ModelOutcome.LimitReached(denied.Denial);
        Interlocked.Increment(ref _sent);
        if (turn == GateAt)
            await Gate!.PassAsync(cancellationToken);
        lock (Notes)
            Notes.Add(request.Note);
        var text = argumentsAt(turn) ?? "";
        await log.CompleteAsync(key, subject, new StepResult(Encoding.UTF8.GetBytes(text), new Usage(7, 3, 2) { Prices = Digest, AnsweredBy = "mock/other" }, attempt, TimeProvider.System.GetUtcNow()), cancellationToken);
        return new ModelOutcome.Answered(Answer(text), key, false);
    }

    // Providers repeat ids between turns, so this one always gives the same.
    private ModelAnswer Answer(string arguments) => arguments.Length == 0
        ? new ModelAnswer("finished", [], "stop", "m", null)
        : new ModelAnswer("", [new ToolCall("call_0", Tool, arguments)], "tool_calls", "m", null);
}
