using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Traces;

/// <summary>Draws a trace as a tree of lines.</summary>
internal static class TraceLines
{
    internal static IEnumerable<string> Draw(Trace trace, bool wide)
    {
        yield return $"{trace.Run}  {PlainText.Line(trace.Agent)}  {trace.Status}";
        foreach (var segment in trace.Segments)
        {
            if (segment.Reason == "recovery")
                yield return $"│  ✗ the owner of epoch {segment.Epoch - 1} was lost; recovered after {Ms(segment.GapMs)}{Doubt(segment)}";
            yield return $"├─ epoch {segment.Epoch} ({PlainText.Line(segment.Reason)})  {Format.Time(segment.At)}  {Figures(segment.Ms, segment.Tokens, segment.NanoUsd)}  {segment.End}";
            foreach (var item in segment.Items)
            {
                foreach (var line in Draw(item, "│  ", wide))
                    yield return line;
            }
        }
    }

    private static IEnumerable<string> Draw(TraceItem item, string indent, bool wide)
    {
        switch (item.Type)
        {
            case "note":
                yield return $"{indent}● {item.Text}";
                break;
            case "loop":
                yield return $"{indent}┌ × {item.Count}  {item.Kind} {item.Text}  {Figures(item.Ms, item.Tokens, item.NanoUsd)}";
                if (wide)
                {
                    foreach (var line in item.Items.SelectMany(inner => Draw(inner, indent + "│ ", wide)))
                        yield return line;
                }

                yield return $"{indent}└ the same call {item.Count} times in a row{(wide ? "" : "; -o wide shows each")}";
                break;
            default:
                var mark = item.State switch { "ok" => "├", "failed" => "✗", _ => "…" };
                var open = item.State == "open" ? "  (no end recorded)" : "";
                yield return $"{indent}{mark} {item.Seq,4} {item.Kind,-5} {item.Text}  {Figures(item.Ms, item.Tokens, item.NanoUsd)}{(item.AnsweredBy is { } other ? $"  answered by {PlainText.Line(other)}" : "")}{open}";
                foreach (var retry in item.Retries)
                    yield return $"{indent}│      ↻ {retry}";
                break;
        }
    }

    private static string Doubt(TraceSegment segment) => segment.InDoubtNanoUsd == 0 ? "" : $"; {Format.Usd(segment.InDoubtNanoUsd)} in doubt";

    private static string Figures(long ms, long tokens, long nanoUsd)
    {
        var parts = new List<string> { Ms(ms) };
        if (tokens > 0)
            parts.Add(Format.Plural(tokens, "token"));
        if (nanoUsd > 0)
            parts.Add(Format.Usd(nanoUsd));
        return string.Join(" · ", parts);
    }

    private static string Ms(long ms) => Format.Duration(TimeSpan.FromMilliseconds(ms));
}
