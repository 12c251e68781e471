using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Storage.Tests.CrashPoints;

namespace Caisson.Storage.Tests.Golden;

/// <summary>Adds a series of recordings of the present engine. What was recorded before is never touched: it is what later engines must still read.</summary>
internal static class GoldenRecorder
{
    private const string Manifest = "SHA256SUMS";

    /// <summary>Samples by name.</summary>
    internal static readonly IReadOnlyDictionary<string, Sample> Samples = new Dictionary<string, Sample>(Sample.All) { ["loop agent at its limit"] = Sample.Loop, ["commands that send"] = Sample.Sending };

    /// <summary>Which of them are also recorded with a death on the way, and what must be in the journal then.</summary>
    private static readonly (string Sample, EntryKind[] Kinds)[] Deaths =
    [
        ("nested branches and effects", [EntryKind.StepUnknown, EntryKind.StepResolved]),
        ("children", [EntryKind.ChildEnded]),
        ("signals and timers", [EntryKind.TimerFired]),
        ("commands that send", [EntryKind.EgressIntended, EntryKind.StepUnknown, EntryKind.StepResolved]),
    ];

    internal static async Task<int> RunAsync(string series, string folder)
    {
        foreach (var (name, sample) in Samples)
        {
            var world = new World(sample);
            await world.CreateAsync();
            await world.LiveAsync(0, Death.Before);
            await WriteAsync(folder, series, name, name, world);
        }

        foreach (var (name, kinds) in Deaths)
            await WriteAsync(folder, series, name + " killed", name, await KilledAsync(Samples[name], kinds));
        return 0;
    }

    /// <summary>Killed at the latest write that leaves what is looked for.</summary>
    private static async Task<World> KilledAsync(Sample sample, EntryKind[] kinds)
    {
        for (var point = 40; point > 1; point--)
        {
            var world = new World(sample);
            await world.CreateAsync();
            if (await world.LiveAsync(point, Death.AfterCommit) is { Died: false })
                continue;
            await world.LiveAsync(0, Death.Before);
            var journals = world.State.Runs.Values.SelectMany(r => r.Journal).Select(e => e.Entry).ToList();
            if (kinds.All(kind => journals.Any(e => e.Kind == kind)) && journals.Any(e => e.Epoch > 1))
                return world;
        }

        throw new InvalidOperationException($"no death leaves {string.Join(", ", kinds)}");
    }

    private static async Task WriteAsync(string folder, string series, string name, string sample, World world)
    {
        if (await world.FindingsAsync() is { Length: > 0 } findings)
            throw new InvalidOperationException($"{name}: {findings}");
        var file = $"{series}-{name.Replace(' ', '-')}.jsonl";
        var path = Path.Combine(folder, file);
        await GoldenFile.WriteNewAsync(path, sample, EngineVersion.Text, world.State, world.Blobs);
        await File.AppendAllTextAsync(Path.Combine(folder, Manifest), $"{Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(path)))}  {file}\n");
        Console.WriteLine(path);
    }
}
