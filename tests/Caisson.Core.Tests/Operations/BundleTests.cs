using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Operations;

public sealed class BundleTests
{
    private readonly OperationsRig _rig = new();

    [Fact]
    public async Task A_bundle_holds_record_manifest_journal_waste_and_version_and_no_results()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Completed("a", result: "\"secret\"").Paused(PauseCause.Poison), RunStatus.Paused, PauseCause.Poison,
            budget: [new BudgetChange.Reserve("b", new Hold(250_000_000, 10)), new BudgetChange.Doubt("b")]);

        var bundle = (await BundleAsync(run, payloads: false))!.RootElement;

        Assert.Equal(EngineVersion.Text, bundle.GetProperty("engine").GetString());
        Assert.Equal((run.ToString(), "poison"), (bundle.GetProperty("record").GetProperty("id").GetString(), bundle.GetProperty("record").GetProperty("paused").GetString()));
        Assert.Equal("agent", bundle.GetProperty("manifest").GetProperty("name").GetString());
        Assert.Equal("0.25", bundle.GetProperty("waste")[0].GetProperty("usd").GetString());
        Assert.Contains("caisson retry", bundle.GetProperty("why").GetRawText(), StringComparison.Ordinal);
        var entries = bundle.GetProperty("journal").EnumerateArray().ToList();
        Assert.Equal(["run_created", "epoch_claimed", "step_completed", "paused"], entries.Select(e => e.GetProperty("kind").GetString()));
        Assert.Equal(8, entries[2].GetProperty("payload_bytes").GetInt32());
        Assert.DoesNotContain("secret", bundle.GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_payloads_it_holds_results_also_those_in_blobs()
    {
        var address = (await _rig.Blobs.PutAsync(["{\"big\":1}"u8.ToArray()], default))[0];
        var run = await _rig.PutAsync(TestJournal.Begin().Completed("a", result: "\"small\"").Completed("b", blob: address));

        var entries = (await BundleAsync(run, payloads: true))!.RootElement.GetProperty("journal").EnumerateArray().ToList();

        Assert.Equal("small", entries[2].GetProperty("payload").GetString());
        Assert.Equal(1, entries[3].GetProperty("payload").GetProperty("big").GetInt32());
    }

    [Fact]
    public async Task A_damaged_run_has_a_bundle_too()
    {
        var address = (await _rig.Blobs.PutAsync(["gone"u8.ToArray()], default))[0];
        var run = await _rig.PutAsync(TestJournal.Begin().Add(new EntryBody.ForkedFrom("x", 1, "y", Agents.ForkEffects.Live)).Completed("b", result: "no json", blob: null).Completed("c", blob: address));
        _rig.Blobs.Remove(address);

        var entries = (await BundleAsync(run, payloads: true))!.RootElement.GetProperty("journal").EnumerateArray().ToList();

        Assert.Equal(5, entries.Count);
        Assert.Equal("no json"u8.ToArray(), entries[3].GetProperty("payload_base64").GetBytesFromBase64());
        Assert.False(entries[4].TryGetProperty("payload", out _));
    }

    [Fact]
    public async Task No_run_has_no_bundle() => Assert.Null(await BundleAsync(OperationsRig.Unknown, payloads: false));

    private async Task<JsonDocument?> BundleAsync(RunId run, bool payloads)
    {
        using var output = new MemoryStream();
        var begun = false;
        var written = await _rig.Operations.BundleAsync(run, payloads, output, () => begun = true, default);
        Assert.Equal(written, begun);
        return written ? JsonDocument.Parse(output.ToArray()) : null;
    }
}
