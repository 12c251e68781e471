using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Agents.Tools;

/// <summary>What a tool step records.</summary>
internal sealed record ToolResult(string Text)
{
    private static readonly JsonSerializerOptions Compact = new(ToolJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(this, Compact.GetTypeInfo(typeof(ToolResult)));
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(ToolResult))]
internal sealed partial class ToolJson : JsonSerializerContext;

/// <param name="Signature">Hash of tool and arguments.</param>
/// <param name="Result">Hash of what came back: with the workspace, what the loop guard compares.</param>
/// <param name="WorkspaceRoot">What the call left, where it changed files.</param>
/// <param name="Seq">Where the answer stands in the journal.</param>
internal sealed record ToolAnswer(ToolCall Call, string Text, string Signature, string Result, bool Failed, string? WorkspaceRoot, long Seq)
{
    /// <summary>A call that a limit denied: it has an answer all the same, so that the conversation is whole.</summary>
    internal static ToolAnswer NotRun(ToolCall call) => new(call, WrapUp.NotRun, "", "", Failed: true, null, 0);
}

/// <summary>
/// The tool calls of one model answer. Calls that may write the workspace run one at a time and in the model's order;
/// between them, calls that only read run side by side. A writer's step ends with the saved workspace, so its record
/// and its files become durable together.
/// </summary>
internal sealed class ToolBatch(RunContext context, IReadOnlyList<ITool> tools)
{
    private const int MaxArgumentsShown = 300;

    // Of this ownership: the next one gives each a second try again.
    private readonly HashSet<StepKey> _hung = [];
    private const string Replaced = "[caisson: the box was replaced since the last call; files are as they were, background processes and /tmp are gone]\n";

    /// <returns>An answer to each call; and the limit, where one denied the rest to an agent that is to give its last answer.</returns>
    internal async Task<(IReadOnlyList<ToolAnswer> Answers, LimitDenial? Denial)> RunAsync(StepKey model, IReadOnlyList<ToolCall> calls)
    {
        var planned = calls.Select((call, ordinal) => Plan(call, ToolStep(model, ordinal))).ToList();
        var answers = planned.Select(call => ToolAnswer.NotRun(call.Call)).ToArray();
        LimitDenial? denial = null;
        for (var next = 0; next < planned.Count && denial is null;)
        {
            var end = next + 1;
            if (planned[next].Effect == ToolEffect.Reads)
            {
                while (end < planned.Count && planned[end].Effect == ToolEffect.Reads)
                    end++;
            }

            var side = Enumerable.Range(next, end - next).Select(async i =>
            {
                var (answer, denied) = await RunAsync(planned[i]);
                answers[i] = answer ?? answers[i];
                denial ??= denied;
            }).ToList();
            await Task.WhenAll(side);
            next = end;
        }

        return (answers, denial);
    }

    private static StepKey ToolStep(StepKey model, int ordinal) =>
        new(StepHash.Of("tool", "", model.Hash, ordinal.ToString(System.Globalization.CultureInfo.InvariantCulture)));

    private sealed record PlannedCall(ToolCall Call, StepKey Key, ITool? Tool, ToolEffect Effect, JsonElement Arguments, string? Problem);

    private PlannedCall Plan(ToolCall call, StepKey key)
    {
        var tool = tools.FirstOrDefault(t => t.Definition.Name == call.Name);
        if (tool is null)
            return new PlannedCall(call, key, null, ToolEffect.Reads, default, $"no tool is named '{Cut(call.Name)}': the tools are {string.Join(", ", tools.Select(t => t.Definition.Name))}");
        try
        {
            using var document = JsonDocument.Parse(call.Arguments);
            var arguments = document.RootElement.Clone();
            if (arguments.ValueKind != JsonValueKind.Object)
                return new PlannedCall(call, key, tool, ToolEffect.Reads, default, "the arguments must be a JSON object");
            Decode(arguments);
            var (effect, problem) = tool.Inspect(arguments);
            return new PlannedCall(call, key, tool, problem is null ? effect : ToolEffect.Reads, arguments, problem);
        }
        catch (JsonException problem)
        {
            return new PlannedCall(call, key, tool, ToolEffect.Reads, default, $"the arguments are not JSON: {problem.Message}");
        }
        catch (InvalidOperationException)
        {
            return new PlannedCall(call, key, tool, ToolEffect.Reads, default, "the arguments hold text that is not valid Unicode");
        }
    }

    /// <summary>Half a surrogate pair passes the parser and throws where the text is read: here, and not in the middle of a step.</summary>
    private static void Decode(JsonElement arguments)
    {
        foreach (var property in arguments.EnumerateObject())
            _ = property.Name.Length + (property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()!.Length : 0);
    }

    private async Task<Limited<ToolAnswer>> RunAsync(PlannedCall planned)
    {
        var call = planned.Call;
        var subject = new StepSubject(StepKind.Tool, Cut(call.Name), StepHash.Of(call.Arguments), call.Id, Cut(call.Arguments));
        var (answer, denial) = await context.ToolAsync(planned.Key, subject, (step, attempt) => ExecuteAsync(planned, step, attempt));
        if (answer is null)
            return new(null, denial);

        // A step whose outcome nobody knows, or a person skipped, has no result of its own.
        var text = answer is { Result.Length: 0, Failure: { } unknown }
            ? $"error: {unknown.Message}; the files are as they were before this call"
            : JsonSerializer.Deserialize(answer.Result.Span, ToolJson.Default.ToolResult)?.Text
                ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the result of tool step {planned.Key} is not readable");
        return new(new ToolAnswer(call, text, StepHash.Of(call.Name, call.Arguments), StepHash.Of(Bare(text)), answer.Failure is not null, answer.WorkspaceRoot, answer.Seq), null);
    }

    private async Task<StepAttempt> ExecuteAsync(PlannedCall planned, StepCall call, StepContext step)
    {
        var cancellationToken = step.Cancellation;
        if (planned.Problem is { } problem)
        {
            var code = planned.Tool is null ? ErrorCodes.ToolUnknown : ErrorCodes.ToolArguments;
            return Done($"error: {problem}", new Failure(code, problem), null);
        }

        var boxes = context.Box!;
        ISandbox box;
        switch (await boxes.OpenAsync(cancellationToken))
        {
            case BoxOutcome.Ready ready:
                box = ready.Box;
                break;
            case BoxOutcome.Failed failed:
                return new StepAttempt.Failed(failed.Failure);
            default:
                throw new InvalidOperationException("unreachable");
        }

        try
        {
            await using var work = boxes.Work(box);
            return await WatchedAsync(planned, call, boxes, box, step);
        }
        catch (Exception trouble) when (trouble is CaissonException or IOException)
        {
            // The host failed around the box: what the command did to the files is unknown, so it runs again on a new box.
            await boxes.DiscardAsync(box);
            return new StepAttempt.Failed(new Failure((trouble as CaissonException)?.Code ?? ErrorCodes.SandboxLost, trouble.Message, Retryable: true));
        }
    }

    /// <summary>What leaves the box meanwhile belongs to this step. Calls that only read run side by side, and run no program of the box.</summary>
    private async Task<StepAttempt> WatchedAsync(PlannedCall planned, StepCall call, RunBox boxes, ISandbox box, StepContext step)
    {
        var egress = context.Session.Egress;
        if (planned.Effect == ToolEffect.Reads)
            return await ExecuteAsync(planned, boxes, box, step, () => Task.FromResult(""));
        egress.Enter(call, step.Attempt);
        try
        {
            return await ExecuteAsync(planned, boxes, box, step, async () => string.Concat((await egress.LeaveAsync()).Select(reason => $"\n[{reason}]")));
        }
        finally
        {
            await egress.LeaveAsync();
        }
    }

    /// <param name="denied">Ends what may leave for this step, and answers what the model should know of it.</param>
    private async Task<StepAttempt> ExecuteAsync(PlannedCall planned, RunBox boxes, ISandbox box, StepContext step, Func<Task<string>> denied)
    {
        var environment = StepEnvironment.Of(context.Run.ToString(), step);
        var idle = context.Manifest.Sandbox.IdleTimeout ?? IdleWatch.DefaultTimeout;
        switch (await Vigil.RunAsync(box, idle, context.Session.Clock, cancellation => planned.Tool!.RunAsync(planned.Arguments, box, environment, cancellation), step.Cancellation))
        {
            case null:
                // Its files are put back and it is tried once more, since a fault of the box looks like this too; twice is no accident.
                await boxes.DiscardAsync(box);
                return new StepAttempt.Failed(new Failure(ErrorCodes.StepHung, $"'{planned.Call.Name}' hung: no output, no CPU and no I/O for {Durations.Text(idle)}", Retryable: true)) { Last = !_hung.Add(planned.Key) };
            case ToolOutcome.Answered answered:
                var text = boxes.TakeReplaced()
                    ? Replaced + answered.Text
                    : answered.Text;
                text += await denied();
                return planned.Effect == ToolEffect.Writes ? await SavedAsync(boxes, box, text, answered.Failure, step.Cancellation) : Done(text, answered.Failure, null);
            case ToolOutcome.BoxLost lost:
                await boxes.DiscardAsync(box);

                // What the command itself did to its box is the model's to mend; a box lost for other reasons is tried again.
                return lost.Failure.Code is ErrorCodes.SandboxOom or ErrorCodes.SandboxPids or ErrorCodes.SandboxDisk
                    ? Done($"error: {lost.Failure.Message}; the files are as they were before this call", lost.Failure, null)
                    : new StepAttempt.Failed(lost.Failure with { Retryable = true });
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private async Task<StepAttempt> SavedAsync(RunBox boxes, ISandbox box, string text, Failure? failure, CancellationToken cancellationToken)
    {
        switch (await box.SaveWorkspaceAsync(cancellationToken))
        {
            case WorkspaceSaveOutcome.Saved saved:
                return Done(text, failure, saved.Root.Hash == (context.Session.Summary.WorkspaceRoot ?? boxes.EmptyRoot) ? null : saved.Root.Hash);
            case WorkspaceSaveOutcome.Failed failed when failed.Failure.Retryable:
                // The command ran, its files cannot be kept: it has to run again on the files it started from.
                await boxes.DiscardAsync(box);
                return new StepAttempt.Failed(failed.Failure);
            case WorkspaceSaveOutcome.Failed failed:
                await boxes.DiscardAsync(box);
                return Done($"error: {failed.Failure.Message}; the files are as they were before this call", failed.Failure, null);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private static StepAttempt.Done Done(string text, Failure? failure, string? root) =>
        new(new ToolResult(text).Write(), failure, root);

    /// <summary>Our own word is no new result: with it, every crash would give a looping agent eight calls more.</summary>
    private static string Bare(string text) => text.StartsWith(Replaced, StringComparison.Ordinal) ? text[Replaced.Length..] : text;

    private static string Cut(string text) => text.Length <= MaxArgumentsShown ? text : text[..MaxArgumentsShown] + "…";
}
