using System.Text.Json;
using Caisson.Contracts;

namespace Caisson.Cli.Traces;

/// <summary>Builds the trace from the journal alone, in one pass. Pure.</summary>
internal sealed class TraceBuilder
{
    private const int SubjectWidth = 100;

    /// <summary>As many equal calls in a row are drawn as one bracket.</summary>
    private const int BracketFrom = 3;

    private readonly List<TraceSegment> _segments = [];
    private readonly List<Step> _steps = [];
    private readonly List<(int Before, TraceItem Note)> _notes = [];
    private string _agent = "";
    private string _status = "ready";
    private string _end = "open";
    private JournalEntryView? _claim;
    private DateTimeOffset _last;

    internal static Trace Build(string run, IEnumerable<JournalEntryView> entries)
    {
        var builder = new TraceBuilder();
        foreach (var entry in entries)
            builder.Add(entry);
        builder.Close(null);
        return new Trace(1, run, builder._agent, builder._status, builder._segments);
    }

    private void Add(JournalEntryView entry)
    {
        var body = entry.Body;
        switch (entry.Kind)
        {
            case "run_created":
                _agent = body.Text("manifest", "name");
                break;
            case "epoch_claimed":
                Close(entry);
                (_claim, _end, _status) = (entry, "open", _status == "paused" ? "paused" : "running");
                break;
            case "step_started":
                StepOf(entry);
                break;
            case "step_failed":
                StepOf(entry).Fail(entry);
                break;
            case "step_completed":
                StepOf(entry).Complete(entry);
                break;
            case "paused":
                (_end, _status) = ("paused", "paused");
                Note(entry, $"paused ({body.Word("cause")}): {PlainText.Line(body.Text("detail"))}");
                break;
            case "resumed":
                (_end, _status) = ("open", "running");
                Note(entry, $"resumed by {PlainText.Line(body.Text("by"))}");
                break;
            case "limit_hit":
                Note(entry, $"limit {body.Word("dimension")}: {StepLines.Limit(body)}");
                break;
            case "egress_intended":
                Note(entry, $"leaves the box: {StepLines.Leaves(body)}");
                break;
            case "loop_suspected":
                Note(entry, $"loop: {PlainText.Line(body.Text("tool"))}, {StepLines.Loop(body)}");
                break;
            case "replayed":
                Note(entry, $"answered from the journal: {StepLines.Replayed(body)}");
                break;
            case "drift":
                Note(entry, $"parts from its journal: {StepLines.Drift(body)}");
                break;
            case "run_ended":
                _end = _status = body.Word("status");
                if (body.Has("failure"))
                    Note(entry, StepLines.Failure(body));
                break;
            default:
                Note(entry, $"{PlainText.Line(entry.Kind)} {PlainText.Line(body.GetRawText(), SubjectWidth)}");
                break;
        }

        _last = entry.At;
    }

    /// <summary>Ends the ownership under way; <paramref name="next"/> tells whether it ended by itself.</summary>
    private void Close(JournalEntryView? next)
    {
        if (_claim is { } claim)
        {
            if (next is not null && _end == "open")
                _end = next.Body.Text("reason") == "recovery" ? "crashed" : "released";
            var items = Fold();
            var previous = _segments.LastOrDefault();
            var gap = previous is null ? 0 : (long)(claim.At - previous.At).TotalMilliseconds - previous.Ms;
            _segments.Add(new TraceSegment(
                claim.Epoch, claim.Body.Text("reason"), claim.At, (long)(_last - claim.At).TotalMilliseconds, Math.Max(0, gap), _end,
                _steps.Sum(s => s.Tokens), _steps.Sum(s => s.NanoUsd), InDoubt(claim.Body), items));
        }

        _steps.Clear();
        _notes.Clear();
    }

    private Step StepOf(JournalEntryView entry)
    {
        if (_steps.LastOrDefault(s => s.Key == entry.Key && !s.Done) is { } open)
            return open;
        var step = new Step(entry);
        _steps.Add(step);
        return step;
    }

    private void Note(JournalEntryView entry, string text) =>
        _notes.Add((_steps.Count, new TraceItem("note", entry.Seq, entry.Kind, text, "", 0, 0, 0, 0, [], [])));

    /// <summary>The steps and notes in order, equal calls in a row put into a bracket with the model calls between them.</summary>
    private List<TraceItem> Fold()
    {
        var items = new List<TraceItem>();
        var note = 0;
        for (var i = 0; i < _steps.Count;)
        {
            while (note < _notes.Count && _notes[note].Before <= i)
                items.Add(_notes[note++].Note);
            var (last, count) = RepeatFrom(i);
            if (count < BracketFrom)
            {
                items.Add(_steps[i++].Item());
                continue;
            }

            var inside = _steps[i..(last + 1)].Select(s => s.Item()).ToList();
            items.Add(new TraceItem("loop", inside[0].Seq, inside[0].Kind, inside[0].Text, "", inside.Sum(s => s.Ms), inside.Sum(s => s.Tokens), inside.Sum(s => s.NanoUsd), count, [], inside));
            i = last + 1;
        }

        while (note < _notes.Count)
            items.Add(_notes[note++].Note);
        return items;
    }

    /// <summary>The last of the equal tool calls that begin at <paramref name="first"/>, only model calls between them, and how many they are.</summary>
    private (int Last, int Count) RepeatFrom(int first)
    {
        var identity = _steps[first].Identity;
        if (identity is null)
            return (first, 0);
        var (last, count) = (first, 1);
        for (var i = first + 1; i < _steps.Count; i++)
        {
            if (_steps[i].Identity is not { } other)
                continue;
            if (other != identity)
                break;
            (last, count) = (i, count + 1);
        }

        return (last, count);
    }

    private static long InDoubt(JsonElement body)
    {
        var sum = 0L;
        if (body.At("in_doubt") is { ValueKind: JsonValueKind.Array } holds)
        {
            foreach (var hold in holds.EnumerateArray())
                sum += hold.Number("nano_usd");
        }

        return sum;
    }

    private sealed class Step(JournalEntryView first)
    {
        private readonly List<string> _retries = [];
        private string _state = "open";
        private long _ms;
        private string? _prices = Told(first.Body, "hold", "prices");
        private string? _answeredBy;

        internal string? Key { get; } = first.Key;

        internal bool Done { get; private set; }

        internal long Tokens { get; private set; }

        internal long NanoUsd { get; private set; }

        /// <summary>What makes two tool calls equal; model calls have none and never break a row.</summary>
        internal string? Identity { get; } = first.Body.Word("step", "kind") == "model"
            ? null
            : $"{first.Body.Text("step", "name")}\n{first.Body.Text("step", "arguments_hash")}";

        internal void Fail(JournalEntryView entry)
        {
            _retries.Add($"attempt {entry.Attempt} failed: {StepLines.Failure(entry.Body)}");
            if (!entry.Body.Has("retry_at"))
                (_state, Done) = ("failed", true);
        }

        internal void Complete(JournalEntryView entry)
        {
            Done = true;
            _state = entry.Body.Has("failure") ? "failed" : "ok";
            _ms = entry.Body.Number("ms");
            Tokens = entry.Body.Number("usage", "input_tokens") + entry.Body.Number("usage", "output_tokens");
            NanoUsd = entry.Body.Number("usage", "nano_usd");
            _prices = Told(entry.Body, "usage", "prices") ?? _prices;
            _answeredBy = Told(entry.Body, "usage", "answered_by");
            if (entry.Body.Has("failure"))
                _retries.Add(StepLines.Failure(entry.Body));
        }

        internal TraceItem Item() => new(
            "step", first.Seq, first.Body.Word("step", "kind"), EntryReader.Subject(first.Body, SubjectWidth), _state, _ms, Tokens, NanoUsd, 0, _retries, []) { Prices = _prices, AnsweredBy = _answeredBy };

        private static string? Told(JsonElement body, string of, string name) => body.Text(of, name) is { Length: > 0 } text ? text : null;
    }
}
