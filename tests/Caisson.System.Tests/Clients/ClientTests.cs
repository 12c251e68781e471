using Caisson.Contracts;

namespace Caisson.System.Tests.Clients;

/// <summary>
/// The clients that people use, unmodified, as agents in a real box. The provider's own log says how often was paid: as
/// often as without a death, and where the server dies at most what was under way more, each listed as waste.
/// </summary>
public sealed class ClientTests(ClientHouse house) : IClassFixture<ClientHouse>
{
    private const int LastWhole = RealClient.Calls / 2;

    public static TheoryData<string> Clients => [.. RealClient.All.Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Clients))]
    public Task Undisturbed_it_does_its_work(string client) => AssertAsync(client, KillPoint.None);

    [Theory]
    [MemberData(nameof(Clients))]
    public Task Killed_between_two_calls_it_begins_again_and_nothing_is_paid_twice(string client) => AssertAsync(client, new(Victim.Agent, 2, InCall: false));

    [Theory]
    [MemberData(nameof(Clients))]
    public Task Killed_in_the_middle_of_a_stream_it_begins_again_and_nothing_is_paid_twice(string client) => AssertAsync(client, new(Victim.Agent, LastWhole + 2, InCall: true));

    [Theory]
    [MemberData(nameof(Clients))]
    public Task When_the_server_is_killed_between_two_calls_nothing_is_paid_twice(string client) => AssertAsync(client, new(Victim.Server, LastWhole + 1, InCall: false));

    [Theory]
    [MemberData(nameof(Clients))]
    public Task When_the_server_is_killed_in_the_middle_of_a_stream_that_call_alone_is_paid_again_and_listed(string client) => AssertAsync(client, new(Victim.Server, LastWhole + 2, InCall: true));

    private async Task AssertAsync(string client, KillPoint point)
    {
        var outcome = await house.OutcomeAsync(RealClient.Of(client), point);

        outcome.AssertKept(RealClient.Of(client), point);
        await house.Server.AssertSoundAsync();
    }
}
