using System.Globalization;
using Caisson.Contracts;
using Caisson.Simulation.Tests.Machine;

namespace Caisson.Simulation.Tests.Nodes;

/// <summary>The nodes, what happens to them, and who starts them again.</summary>
internal sealed class Cluster(SimProcess outside, Site site)
{
    private readonly Node?[] _slots = new Node?[site.Weather.Nodes];
    private readonly SimRandom _random = site.Random.Fork();
    private int _incarnations;

    internal void Start()
    {
        for (var i = 0; i < _slots.Length; i++)
            Keep(i);
        _ = outside.Run(TroubleAsync);
    }

    /// <summary>All is well from here on: everybody thaws, clocks stand still.</summary>
    internal void Heal()
    {
        foreach (var node in _slots)
        {
            if (node is not null)
                node.Process.Frozen = false;
        }
    }

    /// <summary>A supervisor: one incarnation after another.</summary>
    private void Keep(int slot) => _ = outside.Run(async () =>
    {
        while (true)
        {
            await outside.DelayAsync(_random.Time(0, 3_000));
            var process = outside.Loop.NewProcess(string.Create(CultureInfo.InvariantCulture, $"node {slot}.{_incarnations++}"));
            var node = _slots[slot] = new Node(site, process);
            try
            {
                await node.StartAsync();
                await node.Engine.Stopped;
            }
            catch (CaissonException ended)
            {
                if (ended.Code != ErrorCodes.StorageFailed)
                    outside.Loop.Fail("engine", $"{process.Name} stopped: {ended.Code}: {ended.Message} {ended.InnerException?.ToString().ReplaceLineEndings(" ")}");
            }

            if (_slots[slot] != node)
                return;
            process.Kill();
        }
    });

    private async Task TroubleAsync()
    {
        var weather = site.Weather;
        while (!weather.Calm)
        {
            await outside.DelayAsync(_random.Time(200, 1_800));
            if (weather.Calm)
                return;
            var slot = _random.Below(_slots.Length);
            if (_random.Chance(weather.Stalls) && !site.Hub.IsStalled)
                _ = outside.Run(() => site.Hub.StallAsync(_random.Time(100, _random.Chance(100) ? 70_000 : 9_000)));
            if (_slots[slot] is not { Process: { Dead: false } process } node)
                continue;
            if (_random.Chance(weather.Wander))
                process.Clock.Offset = _random.Time(-weather.LongestOffsetMs, weather.LongestOffsetMs);
            if (_random.Chance(weather.Freezes) && !process.Frozen)
                _ = outside.Run(() => FreezeAsync(process));
            if (_random.Chance(weather.Drains))
                _ = outside.Run(() => node.DrainAsync(_random.Time(0, 10_000)));
            if (_random.Chance(weather.Kills))
                Kill(slot);
        }
    }

    /// <summary>Without a word: what it had under way stays where it was.</summary>
    private void Kill(int slot)
    {
        outside.Loop.Tell($"{_slots[slot]!.Process.Name} is killed");
        _slots[slot]!.Process.Kill();
        _slots[slot] = null;
        Keep(slot);
    }

    /// <summary>It does not run, and its lease runs out; then it goes on as if nothing had been.</summary>
    private async Task FreezeAsync(SimProcess process)
    {
        outside.Loop.Tell($"{process.Name} freezes");
        process.Frozen = true;
        await outside.DelayAsync(_random.Time(500, _random.Chance(100) ? 70_000 : 15_000));
        outside.Loop.Tell($"{process.Name} thaws");
        process.Frozen = false;
    }
}
