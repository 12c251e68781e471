using Caisson.Contracts;
using Caisson.Core.Retention;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Core.Tests.Retention;

public sealed class RetentionKeeperTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly FakeTimeProvider _clock = new(Start);
    private readonly Store _store = new();
    private readonly Sweeper _sweeper = new();

    [Fact]
    public async Task Runs_that_ended_before_the_limit_go_and_younger_ones_stay()
    {
        _store.End(Start.AddDays(-31), 250);
        _store.End(Start.AddDays(-29), 3);

        var report = await Keeper(new RetentionOptions()).RunOnceAsync(default);

        Assert.Equal(250, report.Runs);
        Assert.Equal(3, _store.Runs.Count);
        Assert.Equal(["delete", "sweep"], _store.Log.Concat(_sweeper.Log).Distinct());
    }

    [Fact]
    public async Task What_the_store_keeps_ends_the_round_instead_of_coming_again_for_ever()
    {
        _store.End(Start.AddDays(-31), 200);
        _store.Keep = _ => true;

        var report = await Keeper(new RetentionOptions()).RunOnceAsync(default);

        Assert.Equal(0, report.Runs);
        Assert.Equal(100, _store.Log.Count);
    }

    [Fact]
    public async Task With_no_limit_runs_stay_and_blobs_are_swept()
    {
        _store.End(Start.AddYears(-10), 5);

        var report = await Keeper(new RetentionOptions { KeepEnded = null }).RunOnceAsync(default);

        Assert.Equal((0, 5), (report.Runs, _store.Runs.Count));
        Assert.Single(_sweeper.Log);
    }

    [Fact]
    public async Task It_comes_at_its_times_and_a_round_that_fails_is_followed_by_the_next()
    {
        using var stop = new CancellationTokenSource();
        var running = Keeper(new RetentionOptions { SweepEvery = TimeSpan.FromMinutes(10) }).RunAsync(stop.Token);
        _sweeper.Fail = true;
        Assert.Empty(_sweeper.Log);

        for (var round = 1; round <= 3; round++)
        {
            var seen = _sweeper.NextAsync();
            _clock.Advance(TimeSpan.FromMinutes(10));
            await seen.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, TestContext.Current.CancellationToken);
            Assert.Equal(round, _sweeper.Log.Count);
        }

        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task Turned_off_it_ends_at_once()
    {
        await Keeper(new RetentionOptions { SweepEvery = null }).RunAsync(default);

        Assert.Empty(_sweeper.Log);
    }

    private RetentionKeeper Keeper(RetentionOptions options) => new(options, _store, _sweeper, new Trees(), _clock, NullLogger.Instance);

    private sealed class Store : IRetentionStore
    {
        public List<(RunId Run, DateTimeOffset Ended)> Runs { get; } = [];

        public List<string> Log { get; } = [];

        public Func<RunId, bool> Keep { get; set; } = _ => false;

        public void End(DateTimeOffset at, int count)
        {
            var ids = new SystemIds(TimeProvider.System);
            for (var i = 0; i < count; i++)
                Runs.Add((new RunId(ids.NextRun()), at));
        }

        public Task<IReadOnlyList<RunId>> FindEndedAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<RunId>>([.. Runs.Where(r => r.Ended < before).Take(limit).Select(r => r.Run)]);

        public Task<bool> DeleteRunAsync(RunId run, CancellationToken cancellationToken)
        {
            Log.Add("delete");
            return Task.FromResult(!Keep(run) && Runs.RemoveAll(r => r.Run == run) > 0);
        }

        public IAsyncEnumerable<BlobReference> ReadReferencesAsync(CancellationToken cancellationToken) => AsyncEnumerable.Empty<BlobReference>();
    }

    private sealed class Sweeper : IBlobSweeper
    {
        private TaskCompletionSource _next = new();

        public List<string> Log { get; } = [];

        public bool Fail { get; set; }

        public Task NextAsync() => (_next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

        public Task<SweepReport> SweepAsync(IAsyncEnumerable<BlobReference> references, IWorkspaceTrees trees, CancellationToken cancellationToken)
        {
            Log.Add("sweep");
            _next.TrySetResult();
            return Fail ? throw new CaissonException(ErrorCodes.StorageFailed, "the disk is ill") : Task.FromResult(new SweepReport(0, 0, 0, 0, 0, []));
        }
    }

    private sealed class Trees : IWorkspaceTrees
    {
        public IEnumerable<BlobReference> Children(string address, ReadOnlyMemory<byte> content) => [];
    }
}
