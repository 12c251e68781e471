using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Caisson.System.Tests.Clients;

/// <summary><c>make matrix</c>: each client, killed at each call in each way. Writes the table in <c>docs/clients.md</c>.</summary>
public sealed class ClientMatrix(ClientHouse house) : IClassFixture<ClientHouse>
{
    private const string Begin = "<!-- make matrix writes from here -->", End = "<!-- to here -->";

    private static readonly (string Title, Victim Victim, bool InCall)[] Kills =
    [
        ("agent, behind a call", Victim.Agent, false),
        ("agent, in a call", Victim.Agent, true),
        ("server, behind a call", Victim.Server, false),
        ("server, in a call", Victim.Server, true),
    ];

    [Fact(Explicit = true)]
    public async Task Each_client_is_killed_at_each_call_in_each_way()
    {
        var table = new StringBuilder($"| client | wire | calls | {string.Join(" | ", Kills.Select(k => k.Title))} | waste |\n|---|---|---|{string.Concat(Kills.Select(_ => "---|"))}---|\n");
        foreach (var client in RealClient.All)
        {
            var undisturbed = await CheckedAsync(client, KillPoint.None);
            table.Append(CultureInfo.InvariantCulture, $"| `{client.Package}` {VersionOf(client.Package)}: [{client.Name}](../tests/clients/agents/{client.Name}.mjs) | `{client.Wire}` | {undisturbed.Paid.Count} |");
            var waste = 0;
            foreach (var (_, victim, inCall) in Kills)
            {
                var paid = new List<int>();
                for (var call = 1; call <= RealClient.Calls; call++)
                {
                    var outcome = await CheckedAsync(client, new KillPoint(victim, call, inCall));
                    paid.Add(outcome.Paid.Count);
                    waste += outcome.Waste.Count;
                }

                table.Append(CultureInfo.InvariantCulture, $" {string.Join(' ', paid)} |");
            }

            table.Append(CultureInfo.InvariantCulture, $" {waste} |\n");
        }

        await house.Server.AssertSoundAsync();
        var page = Path.Combine(ClientImage.Repository, "docs/clients.md");
        var text = await File.ReadAllTextAsync(page);
        var (from, to) = (text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, text.IndexOf(End, StringComparison.Ordinal));
        await File.WriteAllTextAsync(page, $"{text[..from]}\n{table}{text[to..]}");
    }

    private async Task<ClientOutcome> CheckedAsync(RealClient client, KillPoint point)
    {
        var outcome = await house.OutcomeAsync(client, point);
        outcome.AssertKept(client, point);
        return outcome;
    }

    private static string VersionOf(string package)
    {
        using var pinned = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(ClientImage.Repository, "tests/clients/package.json")));
        return pinned.RootElement.GetProperty("dependencies").GetProperty(package).GetString()!;
    }
}
