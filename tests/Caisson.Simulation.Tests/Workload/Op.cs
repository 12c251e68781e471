using System.Globalization;
using Caisson.Simulation.Tests.Machine;

namespace Caisson.Simulation.Tests.Workload;

/// <summary>What a step does to the world outside, and what becomes of it when it is interrupted.</summary>
internal enum Flavour
{
    Idempotent,
    Read,
    /// <summary>It happens in the instant in which the step begins, and a check finds it out.</summary>
    OnceAtOnce,
    /// <summary>It happens at the step's end, at a receiver that refuses owners of the past; a check finds it out.</summary>
    OnceLate,
    /// <summary>Nobody can find out: the agent is told.</summary>
    OnceBlind,
    OnceAskHuman,
    OnceFail,
    Undoable,
}

internal enum Ending
{
    Awaited,
    Left,
    Detached,
}

/// <summary>One thing that an agent does. The path is its name within the program.</summary>
internal abstract record Op(string Path)
{
    internal sealed record Step(string Path, Flavour Flavour, int Fails, int Ms, int Bytes, bool Named) : Op(Path);

    internal sealed record Sleep(string Path, int Ms) : Op(Path);

    internal sealed record Wait(string Path, string Name, int? TimeoutMs) : Op(Path);

    internal sealed record Approve(string Path, int? TimeoutMs, bool FourEyes) : Op(Path);

    internal sealed record Branches(string Path, IReadOnlyList<IReadOnlyList<Op>> Parts, bool Any) : Op(Path);

    internal sealed record Child(string Path, string Input, int? NanoUsd, Ending Ending) : Op(Path);

    internal sealed record Model(string Path, int Hold, int Cost, int Fails) : Op(Path);

    internal sealed record Save(string Path, int Next) : Op(Path);
}

/// <summary>A program that a seed writes: the agent that runs it does the same in every attempt.</summary>
internal static class Programs
{
    private const int DeepestBranch = 2;
    private const int DeepestChild = 2;

    internal static string Input(ulong seed, int generation) => string.Create(CultureInfo.InvariantCulture, $"{seed:x}:{generation}");

    internal static IReadOnlyList<Op> Of(string input)
    {
        var parts = input.Split(':');
        var random = new SimRandom(ulong.Parse(parts[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        var generation = int.Parse(parts[1], CultureInfo.InvariantCulture);

        // Some children are over at once: before their parent has heard that they are there.
        return List(random, "", 0, generation, generation > 0 && random.Chance(300) ? 0 : random.Between(2, 8));
    }

    private static List<Op> List(SimRandom random, string path, int depth, int generation, int count)
    {
        var ops = new List<Op>();
        var loose = false;
        for (var i = 0; i < count; i++)
        {
            var op = One(random, string.Create(CultureInfo.InvariantCulture, $"{path}/{i}"), depth, generation);

            // A snapshot has no place for what is still under way, and what only a branch knows.
            loose |= op is Op.Branches { Any: true } or Op.Child;
            if (op is Op.Save && (depth > 0 || loose))
                op = new Op.Sleep(op.Path, 500);
            ops.Add(op);
        }

        return ops;
    }

    private static Op One(SimRandom random, string path, int depth, int generation) => random.Below(20) switch
    {
        <= 6 => new Op.Step(path, random.Pick(Enum.GetValues<Flavour>()), random.Pick([0, 0, 0, 1, 2, 4]), random.Pick([0, 0, 20, 1_500, 6_000]), random.Pick([0, 0, 0, 10_000]), random.Chance(500)),
        7 => new Op.Sleep(path, random.Pick([1, 900, 7_000, 40_000])),
        8 or 9 => new Op.Wait(path, Name(random), random.Pick<int?>([null, 1, 2_000, 15_000, 15_000])),
        10 or 11 => new Op.Approve(path, random.Pick<int?>([null, 3_000, 20_000]), random.Chance(300)),
        12 or 13 or 14 when depth < DeepestBranch => new Op.Branches(path, [.. Enumerable.Range(0, random.Between(1, 3)).Select(b => List(random, $"{path}.{b}", depth + 1, generation, random.Between(1, 3)))], random.Chance(350)),
        15 or 16 when generation < DeepestChild => new Op.Child(path, Input(random.Next(), generation + 1), random.Pick<int?>([null, 60, 200]), random.Pick(Enum.GetValues<Ending>())),
        17 or 18 => new Op.Model(path, random.Between(5, 40), random.Between(1, 45), random.Pick([0, 0, 1, 3])),
        19 => new Op.Save(path, int.Parse(path[(path.LastIndexOf('/') + 1)..], CultureInfo.InvariantCulture) + 1),
        _ => new Op.Step(path, Flavour.Idempotent, 0, 0, 0, Named: true),
    };

    private static string Name(SimRandom random) => random.Pick(Names);

    internal static IReadOnlyList<string> Names { get; } = ["go", "news"];
}
