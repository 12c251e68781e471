using System.Globalization;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Server.Embedding;
using Caisson.System.Tests.Harness;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Caisson.System.Tests.Hosting;

/// <summary>Agents in code, in an application of the user's own.</summary>
public sealed class AddCaissonTests : IDisposable
{
    private readonly Folder _folder = new();
    private readonly Tally _tally = new();

    [Fact]
    public async Task An_agent_runs_with_services_of_its_own_that_end_with_its_turn()
    {
        await using var app = await EmbeddedApp.StartAsync(_folder, Register);

        var run = await app.CreateAsync("two-steps", "hello");

        Assert.Equal("hello: first second", await app.ResultAsync(run));
        await Until.True("the scope's end", () => (_tally.Opened, _tally.Closed) == (1, 1));
        Assert.Equal(["first", "second"], _tally.Steps);
    }

    [Fact]
    public async Task A_run_goes_on_after_the_application_stopped_and_started()
    {
        string run;
        await using (var first = await EmbeddedApp.StartAsync(_folder, Register))
        {
            run = await first.CreateAsync("two-steps", "sleep");
            await first.UntilAsync(run, view => view.Status == RunStatus.Waiting);
            await first.Web.StopAsync();
            await Until.True("the scope's end", () => (_tally.Opened, _tally.Closed) == (1, 1));
        }

        await using var second = await EmbeddedApp.StartAsync(_folder, Register);

        Assert.Equal("sleep: first second", await second.ResultAsync(run));
        Assert.Equal(["first", "second"], _tally.Steps);
        await Until.True("the scopes' end", () => (_tally.Opened, _tally.Closed) == (2, 2));
    }

    [Fact]
    public async Task Runs_can_be_created_before_the_application_starts_and_by_its_services()
    {
        var web = EmbeddedApp.Build(_folder, caisson =>
        {
            Register(caisson);
            caisson.Services.AddHostedService<Starter>();
        });
        var runs = web.Services.GetRequiredService<Runs>();
        var early = Assert.IsType<CreateRunOutcome.Accepted>(await runs.CreateAsync("function", "early"));

        await web.StartAsync();

        await using (web)
        {
            Assert.Equal("early!", (await EndAsync(early.Run)).Summary.Result);
            var late = Assert.IsType<CreateRunOutcome.Accepted>(await runs.CreateAsync("function", "by a service", Starter.Key));
            Assert.True(late.Existing);
            Assert.Equal("by a service!", (await EndAsync(late.Run)).Summary.Result);
        }

        async Task<Core.Stores.RunRecord> EndAsync(RunId run) =>
            (await Until.AsyncValue("the end", () => runs.FindAsync(run, CancellationToken.None), found => found!.Status.IsFinal()))!;
    }

    [Fact]
    public async Task Agents_are_parents_of_each_other()
    {
        await using var app = await EmbeddedApp.StartAsync(_folder, caisson =>
        {
            Register(caisson);
            caisson.AddAgent("parent", async context =>
            {
                var children = new[] { await context.SpawnAsync(new ChildSpec("function", "a")), await context.SpawnAsync(new ChildSpec("function", "b")) };
                return string.Join(' ', (await Task.WhenAll(children.Select(child => child.Ended))).Select(end => end.Result));
            });
        });

        Assert.Equal("a! b!", await app.ResultAsync(await app.CreateAsync("parent")));
    }

    [Fact]
    public async Task An_agent_that_is_not_registered_is_refused_with_those_that_are()
    {
        await using var app = await EmbeddedApp.StartAsync(_folder, Register);

        var refused = Assert.IsType<CreateRunOutcome.Refused>(await app.Runs.CreateAsync("nobody", ""));

        Assert.Equal(ErrorCodes.AgentNotFound, refused.Failure.Code);
        Assert.Contains("function, two-steps", refused.Failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_engine_that_lost_its_lease_takes_the_application_with_it()
    {
        await using var app = await EmbeddedApp.StartAsync(_folder, Register);
        try
        {
            await using (var database = new SqliteConnection($"Data Source={Path.Combine(_folder.Path, "data", "caisson.db")};Pooling=False"))
            {
                await database.OpenAsync();
                await using var command = database.CreateCommand();
                command.CommandText = "UPDATE nodes SET dead_at = 1";
                await command.ExecuteNonQueryAsync();
            }

            await app.Web.WaitForShutdownAsync().WaitAsync(CaissonProgram.Patience, TimeProvider.System);

            Assert.Equal(75, Environment.ExitCode);
        }
        finally
        {
            // It would be that of the tests themselves.
            Environment.ExitCode = 0;
        }
    }

    [Fact]
    public async Task A_data_directory_in_use_fails_the_start()
    {
        await using var first = await EmbeddedApp.StartAsync(_folder, Register);
        await using var second = EmbeddedApp.Build(_folder, Register);

        var refused = await Assert.ThrowsAsync<CaissonException>(() => second.StartAsync());

        Assert.Equal(ErrorCodes.DataDirectoryInUse, refused.Code);
    }

    [Fact]
    public async Task Settings_are_checked_at_the_start()
    {
        await using var web = EmbeddedApp.Build(_folder, caisson => caisson.Services.AddCaisson(options => options.MaxConcurrentRuns = 0));

        var refused = await Assert.ThrowsAsync<OptionsValidationException>(() => web.StartAsync());

        Assert.Contains("engine.max_concurrent_runs", refused.Message, StringComparison.Ordinal);
    }

    private void Register(CaissonBuilder caisson)
    {
        caisson.Services.AddSingleton(_tally);
        caisson.Services.AddScoped<Scoped>();
        caisson.AddAgent<TwoStepsAgent>();
        caisson.AddAgent("function", context => Task.FromResult(context.Input + "!"));
    }

    public void Dispose() => _folder.Dispose();

    private sealed class TwoStepsAgent(Tally tally, Scoped scoped) : IAgent
    {
        public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
        {
            var first = await context.StepAsync("first", () => Task.FromResult(tally.Count("first")));
            if (context.Input == "sleep")
                await context.SleepAsync(TimeSpan.FromSeconds(1));
            var second = await context.StepAsync("second", () => Task.FromResult(tally.Count(scoped.IsOpen ? "second" : "closed")));
            return string.Create(CultureInfo.InvariantCulture, $"{context.Input}: {first} {second}");
        }
    }

    private sealed class Starter(Runs runs) : IHostedService
    {
        internal const string Key = "starter";

        public async Task StartAsync(CancellationToken cancellationToken) => await runs.CreateAsync("function", "by a service", Key, cancellationToken);

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class Tally
    {
        private readonly Lock _lock = new();
        private readonly List<string> _steps = [];
        private int _opened;
        private int _closed;

        internal int Opened => Volatile.Read(ref _opened);

        internal int Closed => Volatile.Read(ref _closed);

        internal IReadOnlyList<string> Steps
        {
            get
            {
                lock (_lock)
                    return [.. _steps];
            }
        }

        internal string Count(string step)
        {
            lock (_lock)
                _steps.Add(step);
            return step;
        }

        internal void Open() => Interlocked.Increment(ref _opened);

        internal void Close() => Interlocked.Increment(ref _closed);
    }

    private sealed class Scoped : IAsyncDisposable
    {
        private readonly Tally _tally;

        public Scoped(Tally tally)
        {
            _tally = tally;
            tally.Open();
        }

        internal bool IsOpen { get; private set; } = true;

        public ValueTask DisposeAsync()
        {
            IsOpen = false;
            _tally.Close();
            return ValueTask.CompletedTask;
        }
    }
}
