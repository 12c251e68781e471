using CodeAgent;
using Caisson.Core.Agents;
using Caisson.Server.Embedding;

var builder = WebApplication.CreateSlimBuilder(args);
builder.WebHost.UseUrls("http://127.0.0.1:7311");
builder.Services.AddSingleton<Warehouse>();
builder.Services.AddCaisson()
    .AddAgent<OrderAgent>()
    .AddAgent("quote", context => context.StepAsync("ask", async step =>
    {
        // A carrier that takes its time. In a step everything is allowed, and nothing of it is done again in a replay.
        await Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System, step.Cancellation);
        return $"{context.Input}:{context.Input.Length * 3}";
    }));

var app = builder.Build();
app.MapCaisson();
app.Run();
