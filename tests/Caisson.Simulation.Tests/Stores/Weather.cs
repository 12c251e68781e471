using Caisson.Simulation.Tests.Machine;

namespace Caisson.Simulation.Tests.Stores;

/// <summary>What may go wrong in a seed, and how often. Each seed has another mixture: all troubles at once hide some from each other.</summary>
internal sealed class Weather
{
    internal Weather(SimRandom random)
    {
        Nodes = random.Between(2, 4);
        Detours = random.Pick([20, 150, 400, 900]);
        SlowCommits = random.Pick([0, 10, 50, 200]);
        LostAcks = random.Pick([0, 0, 2, 8]);
        Stalls = random.Pick([0, 0, 30, 100]);
        Kills = random.Pick([0, 20, 60, 150]);
        Freezes = random.Pick([0, 0, 40, 120]);
        Drains = random.Pick([0, 0, 20, 60]);
        Wander = random.Pick([0, 0, 100, 300]);
        LongestOffsetMs = random.Pick([50, 2_000, 10_000]);
        ChaosSeconds = random.Between(20, 120);
        Roots = random.Between(2, 7);
        OperationsMs = random.Pick([300, 1_000, 3_000]);
        HoldSeconds = random.Pick([1, 5, 60]);
        MaxRuns = random.Pick([1, 3, 2_000, 2_000]);
        TenantCap = random.Chance(400);
        Schedules = random.Chance(300);
    }

    internal int Nodes { get; }

    /// <summary>Of a thousand calls, how many are answered later than at once.</summary>
    internal int Detours { get; }

    /// <summary>Of a thousand calls on a detour, how many take time.</summary>
    internal int SlowCommits { get; }

    /// <summary>Of a thousand writes on a detour, how many are done and nobody is told.</summary>
    internal int LostAcks { get; }

    // Of a thousand seconds, in how many each of these begins.
    internal int Stalls { get; }
    internal int Kills { get; }
    internal int Freezes { get; }
    internal int Drains { get; }
    internal int Wander { get; }

    internal int LongestOffsetMs { get; }

    internal int ChaosSeconds { get; }

    internal int Roots { get; }

    /// <summary>About how long until somebody outside does something again.</summary>
    internal int OperationsMs { get; }

    internal int HoldSeconds { get; }

    internal int MaxRuns { get; }

    internal bool TenantCap { get; }

    internal bool Schedules { get; }

    /// <summary>From then on nothing goes wrong any more.</summary>
    internal bool Calm { get; set; }
}
