using System.Globalization;
using System.Text.Json;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Traces;

/// <summary>Where a run went round in circles, and what that cost.</summary>
internal sealed record LoopReport(int Schema, string Run, IReadOnlyList<LoopFound> Loops);

/// <param name="Seq">The entry in which the guard said so last.</param>
/// <param name="Signal"><c>repeat</c>, <c>cycle</c>, <c>same_call</c>, <c>error</c>, <c>stale</c>, <c>request</c>, <c>rate</c>, <c>stream</c>.</param>
/// <param name="Tool">The tool last called; empty where the signal is about requests to the model.</param>
/// <param name="Count">How often.</param>
/// <param name="Period">Calls in one round.</param>
/// <param name="Acted">Whether the run was halted for it; else it was a warning.</param>
/// <param name="From">The first entry of the circle.</param>
/// <param name="Calls">Steps inside, model calls and tools.</param>
/// <param name="Round">The steps of the last round.</param>
internal sealed record LoopFound(long Seq, string Signal, string Tool, int Count, int Period, bool Acted, long From, int Calls, long Tokens, long NanoUsd, IReadOnlyList<string> Round);

/// <summary>
/// Finds the circles that the guard saw, from the journal alone, in one pass. Pure. A turn is a tool's step; of a program,
/// whose tools run inside it, a turn is the model call that asked for one.
/// </summary>
internal sealed class LoopFinder
{
    private const int SubjectWidth = 100;

    // No circle of the guard's is longer: eight calls, and the count that a policy may set at most is shown as far as this.
    private const int MostSteps = 2_000;

    private readonly List<LoopFound> _loops = [];
    private readonly List<JournalEntryView> _steps = [];

    internal static LoopReport Find(string run, IEnumerable<JournalEntryView> entries)
    {
        var finder = new LoopFinder();
        foreach (var entry in entries)
            finder.Add(entry);
        return new LoopReport(1, run, finder._loops);
    }

    /// <summary>One loop a line, the steps of its last round under it.</summary>
    internal static IEnumerable<string> Draw(LoopReport report)
    {
        if (report.Loops.Count == 0)
            yield return "no loops";
        foreach (var loop in report.Loops)
        {
            var what = loop.Tool.Length == 0 ? "model calls" : PlainText.Line(loop.Tool, SubjectWidth);
            var round = loop.Period == 1 ? "" : $" of {loop.Period} calls";
            var money = loop.NanoUsd == 0 ? "" : $" · {Format.Usd(loop.NanoUsd)}";
            yield return string.Create(CultureInfo.InvariantCulture, $"{loop.Signal,-9} {what} × {loop.Count}{round}  entries {loop.From} to {loop.Seq}  {Format.Plural(loop.Calls, "step")} · {Format.Plural(loop.Tokens, "token")}{money}  {(loop.Acted ? "halted the run" : "warned")}");
            foreach (var line in loop.Round)
                yield return $"          {line}";
        }
    }

    private void Add(JournalEntryView entry)
    {
        switch (entry.Kind)
        {
            case "step_completed":
                _steps.Add(entry);
                if (_steps.Count > MostSteps)
                    _steps.RemoveAt(0);
                break;
            case "loop_suspected":
                var found = Found(entry);

                // The same circle, some turns later.
                if (_loops is [.., var last] && last.Signal == found.Signal && last.Tool == found.Tool && last.Period == found.Period && found.From <= last.Seq)
                    _loops.RemoveAt(_loops.Count - 1);
                _loops.Add(found);
                break;
        }
    }

    private LoopFound Found(JournalEntryView entry)
    {
        var body = entry.Body;
        var (count, period) = ((int)body.Number("count"), Math.Max(1, (int)body.Number("period")));
        var signal = body.Text("signal");
        var isTurn = signal is "request" or "rate" or "stream" || !_steps.Exists(IsTool) ? (Func<JournalEntryView, bool>)IsModel : IsTool;
        var first = Back(signal == "stream" ? 1 : (long)count * period, isTurn);
        var round = Back(period, isTurn);
        var inside = _steps[first..];
        return new LoopFound(entry.Seq, signal, body.Text("tool"), count, period, body.Flag("acted"), inside.Count == 0 ? entry.Seq : inside[0].Seq, inside.Count,
            inside.Sum(s => s.Body.Number("usage", "input_tokens") + s.Body.Number("usage", "output_tokens")), inside.Sum(s => s.Body.Number("usage", "nano_usd")),
            [.. _steps[round..].Select(s => $"{s.Body.Word("step", "kind"),-5} {EntryReader.Subject(s.Body, SubjectWidth)}")]);
    }

    /// <summary>Where so many turns from the end begin.</summary>
    private int Back(long turns, Func<JournalEntryView, bool> isTurn)
    {
        var at = _steps.Count;
        while (turns > 0 && at > 0)
        {
            if (isTurn(_steps[--at]))
                turns--;
        }

        return at;
    }

    private static bool IsTool(JournalEntryView step) => step.Body.Word("step", "kind") == "tool";

    private static bool IsModel(JournalEntryView step) => step.Body.Word("step", "kind") == "model";
}
