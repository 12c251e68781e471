using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

public sealed partial class RunOperations
{
    /// <summary>What a person may set as a step's result.</summary>
    public const int MaxResultBytes = 1 << 20;

    private static readonly string[] Hows = ["done", "not_done", "skip"];

    /// <summary>Steps of unknown outcome that nobody has settled, or <c>null</c> where there is no such run.</summary>
    public async Task<UnknownSteps?> UnknownsAsync(RunId run, CancellationToken cancellationToken)
    {
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return null;
        var open = record.Status.IsFinal() ? [] : (await _journal.OpenWorkAsync(record, cancellationToken)).Unknowns.Items;
        return new UnknownSteps([.. open.Select(u => new UnknownStepView(
            u.Key, Words.Of(u.Asked.Step.Kind), u.Asked.Step.Name, u.Asked.Step.Arguments, Words.Of(u.Asked.Effect), Words.Of(u.Asked.Policy), u.At, u.Seq))]);
    }

    /// <summary>Says how a step of unknown outcome came out.</summary>
    public async Task<OperationOutcome> ResolveAsync(RunId run, ResolveRequest request, CancellationToken cancellationToken)
    {
        if (Named(request.By, out var who) is { } unnamed)
            return unnamed;
        if (!Hows.Contains(request.How))
            return Refuse(ErrorCodes.RequestInvalid, $"how: found '{request.How}', allowed are {string.Join(", ", Hows)}");
        var result = request.Result is { } json ? json.GetRawText() : null;
        if (result is not null && request.How != "done")
            return Refuse(ErrorCodes.RequestInvalid, $"result: allowed with done only, since the step has none when it is {request.How}");
        if (result is not null && Encoding.UTF8.GetByteCount(result) > MaxResultBytes)
            return Refuse(ErrorCodes.PayloadTooLarge, $"the result has more than {MaxResultBytes} bytes");
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return new OperationOutcome.NotFound();
        if (record.Status.IsFinal())
            return Refuse(ErrorCodes.RunEnded, $"run {run} is {Words.Of(record.Status)}: its steps are what they are");
        var unknowns = (await _journal.OpenWorkAsync(record, cancellationToken)).Unknowns;
        var (key, failure) = KeyChoice.Pick(run, "step of unknown outcome", [.. unknowns.Items.Select(u => u.Key)], unknowns.Settled, request.Step);
        if (failure is not null)
            return new OperationOutcome.Refused(failure);
        if (request.How == "done" && ResultShape.Problem(unknowns.Items.First(u => u.Key == key).Asked.Step.Kind, request.Result) is { } problem)
            return Refuse(ErrorCodes.RequestInvalid, $"result: {problem}");
        return await PostAsync(run, InputKind.Resolve, null,
                JournalJson.Write(new InputBody.Resolve(key!, request.How, who, request.How == "done" ? result ?? "null" : null)), cancellationToken);
    }
}
