using Caisson.Core.Agents;
using Caisson.Server.Embedding;
using Microsoft.Extensions.DependencyInjection;

namespace Caisson.System.Tests.Hosting;

/// <summary>Names and builds of agents in code.</summary>
public sealed class AgentNameTests
{
    private readonly ServiceCollection _services = [];

    [Theory]
    [InlineData(typeof(TripPlannerAgent), "trip-planner")]
    [InlineData(typeof(HTTPReader), "http-reader")]
    [InlineData(typeof(Agent), "agent")]
    [InlineData(typeof(Named), "given.name")]
    public void A_type_is_called_by_its_attribute_or_in_kebab_case(Type type, string name) => Assert.Equal(name, CodeAgents.NameOf(type));

    [Fact]
    public void A_build_is_the_attributes_version_or_the_assemblys_own_mark()
    {
        Assert.Equal("7", CodeAgents.BuildOf(typeof(Named)));
        Assert.Equal(GetType().Module.ModuleVersionId.ToString("N"), CodeAgents.BuildOf(typeof(Agent)));
        Assert.Equal(GetType().Module.ModuleVersionId.ToString("N"), CodeAgents.BuildOf(new Func<int>(() => 1).Method));
    }

    [Fact]
    public void Two_agents_of_one_name_are_refused()
    {
        var caisson = _services.AddCaisson().AddAgent<Named>();

        Assert.Throws<ArgumentException>(() => caisson.AddAgent("given.name", _ => Task.FromResult("")));
        Assert.Throws<ArgumentException>(() => _services.AddCaisson().AddAgent<Named>());
        caisson.AddAgent<Named>("another");
    }

    [Theory]
    [InlineData("")]
    [InlineData("two words")]
    [InlineData("line\nbreak")]
    public void A_name_that_no_manifest_could_have_is_refused(string name) =>
        Assert.Throws<ArgumentException>(() => _services.AddCaisson().AddAgent(name, _ => Task.FromResult("")));

    [Agent("given.name", Version = "7")]
    private sealed class Named : Silent;

    private sealed class TripPlannerAgent : Silent;

    private sealed class HTTPReader : Silent;

    private sealed class Agent : Silent;

    private abstract class Silent : IAgent
    {
        public Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken) => Task.FromResult("");
    }
}
