using System.Text;
using Caisson.Contracts;

namespace Caisson.Sandboxes.Tests.Containment;

/// <summary>The table of docs/security/containment.md: written by `Caisson.Sandboxes.Tests containment FILE [KIND...]`, kept true by a test.</summary>
internal static class Table
{
    private const string Start = "<!-- table -->", Unseen = "not seen yet";

    public static string FilePath => Path.Combine(Root(), "docs", "security", "containment.md");

    /// <summary>Runs the suite against these kinds; the column of one that this host does not have stays.</summary>
    public static async Task<int> WriteAsync(string file, string[] kinds)
    {
        var columns = Columns(file);
        foreach (var kind in kinds)
        {
            await using var boxes = new KindOfBoxes(kind);
            await boxes.InitializeAsync();
            if (boxes.Absent is null)
            {
                columns.Remove(Heading(columns, kind));
                columns[boxes.Provider.Tier == IsolationTier.Emulated ? $"{kind} (emulated)" : kind] = await Suite.RunAsync(boxes);
            }

            Console.WriteLine($"{kind}: {boxes.Absent ?? "done"}");
        }

        var text = await File.ReadAllTextAsync(file);
        await File.WriteAllTextAsync(file, text[..(text.IndexOf(Start, StringComparison.Ordinal) + Start.Length)] + "\n" + Format(columns));
        return 0;
    }

    /// <summary>Of a column, whose heading may say more.</summary>
    public static string KindOf(string heading) => heading.Split(' ')[0];

    /// <summary>What the file says of each kind: name of the probe to cell.</summary>
    public static Dictionary<string, IReadOnlyDictionary<string, string>> Columns(string file)
    {
        var rows = File.ReadAllLines(file).SkipWhile(l => l != Start).Where(l => l.StartsWith('|')).Select(l => l.Trim('|').Split(" | ").Select(c => c.Trim()).ToArray()).ToList();
        var columns = new Dictionary<string, IReadOnlyDictionary<string, string>>();
        if (rows.Count == 0)
            return columns;
        for (var i = 2; i < rows[0].Length; i++)
            columns[rows[0][i]] = rows.Where(r => r.Length == rows[0].Length && r[0] != rows[0][0]).ToDictionary(r => r[0], r => r[i]);
        return columns;
    }

    private static string Format(Dictionary<string, IReadOnlyDictionary<string, string>> columns)
    {
        var text = new StringBuilder();
        var headings = BoxKinds.All.Select(k => Heading(columns, k)).ToList();
        foreach (var group in Suite.All.GroupBy(p => p.Group))
        {
            text.Append($"\n### {group.Key}\n\n| Probe | Control | {string.Join(" | ", headings)} |\n|---|---|{string.Concat(headings.Select(_ => "---|"))}\n");
            foreach (var probe in group)
                text.Append($"| {probe.Name} | {probe.Control} | {string.Join(" | ", headings.Select(k => columns.GetValueOrDefault(k)?.GetValueOrDefault(probe.Name) ?? Unseen))} |\n");
        }

        return text.ToString();
    }

    private static string Heading(Dictionary<string, IReadOnlyDictionary<string, string>> columns, string kind) =>
        columns.Keys.FirstOrDefault(k => KindOf(k) == kind) ?? kind;

    private static string Root()
    {
        var directory = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(directory, "Caisson.slnx")))
            directory = Path.GetDirectoryName(directory)!;
        return directory;
    }

    /// <summary>Outside of the test runner.</summary>
    private sealed class KindOfBoxes(string kind) : Boxes(kind, emulated: true);
}
