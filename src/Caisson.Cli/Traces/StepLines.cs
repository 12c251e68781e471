using System.Globalization;
using System.Text.Json;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Traces;

/// <summary>A journal entry as one readable line.</summary>
internal static class StepLines
{
    private const int SubjectWidth = 100;

    /// <summary><c>null</c> for entries that only announce what a later one tells.</summary>
    internal static string? Of(JournalEntryView entry) =>
        Text(entry) is { } text
            ? string.Create(CultureInfo.InvariantCulture, $"{Format.Time(entry.At)} {entry.Seq,5}  {text}")
            : null;

    private static string? Text(JournalEntryView entry)
    {
        var body = entry.Body;
        return entry.Kind switch
        {
            "run_created" => $"created    {PlainText.Line(body.Text("manifest", "name"))}",
            "epoch_claimed" => $"epoch {entry.Epoch,-4} {Claim(body)}",
            "step_started" => null,
            "step_completed" => Completed(entry),
            "step_failed" => $"{"retry",-10} {EntryReader.Subject(body, SubjectWidth)}: attempt {entry.Attempt} failed: {Failure(body)}{RetryAt(body)}",
            "limit_hit" => $"{"LIMIT",-10} {body.Word("dimension")} of {PlainText.Line(body.Text("node"))}: {Limit(body)}",
            "limit_raised" => $"{"raised",-10} {PlainText.Line(body.At("limits")?.GetRawText() ?? "", SubjectWidth)} by {PlainText.Line(body.Text("by"))}",
            "loop_suspected" => $"{"LOOP",-10} {PlainText.Line(body.Text("tool"))}: {Loop(body)}{(body.Flag("acted") ? "" : " (warned)")}",
            "drift" => $"{"DRIFT",-10} {Drift(body)}",
            "replayed" => $"{"replayed",-10} {Replayed(body)}",
            "cancel_requested" => $"{"cancel",-10} by {PlainText.Line(body.Text("by"))}{Reason(body)}",
            "paused" => $"{"PAUSED",-10} {body.Word("cause")}: {PlainText.Line(body.Text("detail"))}",
            "resumed" => $"{"resumed",-10} by {PlainText.Line(body.Text("by"))}",
            "egress_intended" => $"{"leaves",-10} {Leaves(body)}",
            "run_ended" => $"{"ended",-10} {body.Word("status")}{(body.Has("failure") ? ": " + Failure(body) : "")}",
            _ => $"{PlainText.Line(entry.Kind),-10} {PlainText.Line(body.GetRawText(), SubjectWidth)}",
        };
    }

    internal static string Claim(JsonElement body)
    {
        var doubtful = body.At("in_doubt") is { ValueKind: JsonValueKind.Array } holds ? holds.GetArrayLength() : 0;
        var text = body.Text("reason") == "recovery" ? "recovered: the owner before it is gone" : $"claimed ({PlainText.Line(body.Text("reason"))})";
        return doubtful == 0 ? text : $"{text}; {Format.Plural(doubtful, "call")} in doubt";
    }

    /// <summary>What is about to leave a box.</summary>
    internal static string Leaves(JsonElement body)
    {
        var verb = body.Word("what") switch
        {
            "tunnel" => "a tunnel",
            "service" => "a connection",
            _ => body.Text("method"),
        };
        var secret = body.Text("secret") is { Length: > 0 } name ? $" with secret {name}" : "";
        return PlainText.Line($"{verb} to {body.Text("host")}:{body.Number("port")}{body.Text("path")}{secret}{(body.Flag("more") ? ", and more that is not listed" : "")}", SubjectWidth + 40);
    }

    internal static string Drift(JsonElement body) =>
        PlainText.Line($"asks for {body.Text("report", "asked")} where entry {body.Number("report", "seq")} has {body.Text("report", "recorded")}", SubjectWidth * 2);

    /// <summary>How many at which level of likeness, and which entries answered loosely.</summary>
    internal static string Replayed(JsonElement body)
    {
        var levels = body.At("levels") is { ValueKind: JsonValueKind.Object } counts
            ? string.Join(", ", counts.EnumerateObject().Where(l => l.Value.ValueKind == JsonValueKind.Number).Select(l => $"{l.Value.GetRawText()} at {PlainText.Line(l.Name, 10)}"))
            : "";
        var loose = body.At("loose") is { ValueKind: JsonValueKind.Array } list
            ? "; by likeness: " + string.Join(", ", list.EnumerateArray().Select(l => $"entry {l.Number("seq")} ({PlainText.Line(l.Text("level"), 10)})"))
            : "";
        return PlainText.Line(levels + loose, SubjectWidth * 4);
    }

    internal static string Limit(JsonElement body)
    {
        var money = body.Word("dimension") == "nano_usd";
        string Amount(long value) => money ? Format.Usd(value) : value.ToString(CultureInfo.InvariantCulture);
        return $"cap {Amount(body.Number("cap"))}, spent {Amount(body.Number("spent"))}, held {Amount(body.Number("held"))}, wanted {Amount(body.Number("wanted"))}";
    }

    internal static string Loop(JsonElement body) =>
        body.Text("signal") == "cycle"
            ? $"a cycle of {body.Number("period")} calls × {body.Number("count")}"
            : $"the same call with the same result × {body.Number("count")}";

    internal static string Failure(JsonElement body) =>
        PlainText.Line($"{body.Text("failure", "message")} ({body.Text("failure", "code")})", 240);

    private static string Completed(JournalEntryView entry)
    {
        var body = entry.Body;
        var parts = new List<string> { $"{body.Word("step", "kind"),-10} {EntryReader.Subject(body, SubjectWidth)}", Format.Duration(TimeSpan.FromMilliseconds(body.Number("ms"))) };
        if (body.Number("usage", "input_tokens") + body.Number("usage", "output_tokens") is > 0 and var tokens)
            parts.Add(Format.Plural(tokens, "token"));
        if (body.Number("usage", "nano_usd") is > 0 and var money)
            parts.Add(Format.Usd(money));
        if (entry.Attempt > 1)
            parts.Add($"attempt {entry.Attempt}");
        if (body.Has("failure"))
            parts.Add("failed: " + Failure(body));
        return string.Join("  ", parts);
    }

    private static string RetryAt(JsonElement body) =>
        body.At("retry_at") is { ValueKind: JsonValueKind.String } at && at.TryGetDateTimeOffset(out var time) ? $"; next at {Format.Time(time)}" : "";

    private static string Reason(JsonElement body) => body.Text("reason") is { Length: > 0 } reason ? ": " + PlainText.Line(reason) : "";
}
