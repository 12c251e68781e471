using Caisson.Bench.Probes;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Server.Embedding;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Caisson.Bench.Host;

/// <summary>An application with the engine and one agent in it, as a user would write it: <c>AddCaisson</c> and <c>MapCaisson</c>.</summary>
internal static class HostApplication
{
    private const string Agent = "bench";

    internal static WebApplication Build(string data, Func<IRunContext, Task<string>> agent)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders().AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddCaisson(options => options.DataDirectory = data).AddAgent(Agent, agent);
        var app = builder.Build();
        app.MapCaisson();
        return app;
    }

    internal static async Task CreateAsync(this Runs runs, int count, int steps)
    {
        var manifest = $"name: {Agent}\ncode: {Agent}\nlimits: {{ steps: {steps} }}\n";
        var outcomes = await Task.WhenAll(Enumerable.Range(0, count).Select(_ =>
            runs.CreateAsync(new CreateRun(manifest, "bench.yaml", $"{steps}", new RunOverrides(), new Dictionary<string, string>(), null), default)));
        if (outcomes.FirstOrDefault(outcome => outcome is not CreateRunOutcome.Accepted) is { } refused)
            throw new InvalidOperationException($"a run was refused: {refused}");
    }
}

/// <summary>
/// <c>host DATA LOG RUNS STEPS TOOL_MS</c>: serves until it is killed, and says in LOG when each step's work begins.
/// With RUNS it creates so many first.
/// </summary>
internal static class KillableHost
{
    internal const string Verb = "host";

    internal static async Task<int> ServeAsync(string data, string log, int runs, int steps, TimeSpan tool)
    {
        using var said = new StepLog(log);
        said.Write(StepLog.Begun);
        var app = HostApplication.Build(data, async context =>
        {
            var name = context.Run.ToString();
            var result = Payload.Text(context.Run.GetHashCode());
            for (var i = 0; i < steps; i++)
            {
                await context.StepAsync("step", async () =>
                {
                    said.Write(name);
                    await Task.Delay(tool);
                    return result;
                });
            }

            return "done";
        });
        if (runs > 0)
            await app.Services.GetRequiredService<Runs>().CreateAsync(runs, steps);
        app.Lifetime.ApplicationStarted.Register(() => said.Write(StepLog.Serving));
        await app.RunAsync();
        return 0;
    }
}
