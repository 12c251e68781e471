using System.Collections.Concurrent;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Schedules;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Core.Tests.Schedules;

/// <summary>A store with schedules, keepers on it, a clock, and a hand that ends runs.</summary>
internal sealed class Desk
{
    private readonly MemoryBlobs _blobs = new();
    private readonly NodeId _node = new(Guid.Parse("0190a000-0000-7000-8000-0000000000ff"));

    internal Desk(IStoreFaults? faults = null)
    {
        Clock = new FakeTimeProvider(Nine.AddSeconds(-30));
        Store = new MemoryStore(Clock, shared: false, faults);
        Keeper = NewKeeper();
        Book = new ScheduleBook(Store, Store, Store, NewRuns, Keeper, Signals, Clock, Ids);
    }

    internal static DateTimeOffset Nine => Some.Utc("2026-05-04 09:00");

    internal FakeTimeProvider Clock { get; }

    internal MemoryStore Store { get; }

    internal RunSignals Signals { get; } = new();

    internal Catalogue Models { get; } = new();

    internal Lines Log { get; } = new();

    internal ScheduleKeeper Keeper { get; }

    internal ScheduleBook Book { get; }

    private SystemIds Ids => new(Clock);

    internal KillSwitches Kills => field ??= new KillSwitches(Store, Clock);

    private NewRuns NewRuns => new(_blobs, Models, [], AgentBuilds.None, Clock, Ids, Kills);

    internal ScheduleKeeper NewKeeper(IScheduleStore? store = null, Func<bool>? mayAct = null) =>
        new(store ?? Store, Store, NewRuns, Signals, Clock, Log, mayAct ?? (() => true));

    internal async Task<ScheduleView> PutAsync(ScheduleSpec spec, string name = "nightly") =>
        Assert.IsType<ScheduleOutcome.Done>(await Book.PutAsync(name, spec, default)).Schedule;

    internal async Task<Failure> RefusedAsync(ScheduleSpec spec, string name = "nightly") =>
        Assert.IsType<ScheduleOutcome.Refused>(await Book.PutAsync(name, spec, default)).Failure;

    /// <summary>Sets the clock, also back, and lets the keeper look once.</summary>
    internal Task<DateTimeOffset> LookAtAsync(DateTimeOffset now)
    {
        Clock.AdjustTime(now);
        return Keeper.TickAsync(now, default);
    }

    internal Task<DateTimeOffset> LookAtAsync(string clockTime) => LookAtAsync(Some.Utc($"2026-05-04 {clockTime}"));

    internal async Task<ScheduleRecord> RecordAsync() => Assert.Single(await Store.ListSchedulesAsync(default));

    /// <summary>The label <c>schedule_time</c> of every run, oldest first.</summary>
    internal async Task<IReadOnlyList<string>> TimesAsync() =>
        [.. (await RunsAsync()).Select(run => run.Summary.Labels["schedule_time"]["2026-05-04T".Length..^1])];

    internal async Task<IReadOnlyList<RunRecord>> RunsAsync() => [.. (await Store.ListAsync(new RunFilter(null, null, null, 10_000), default)).Reverse()];

    /// <summary>The owner's last write.</summary>
    internal async Task EndAsync(RunId run, RunStatus status = RunStatus.Completed)
    {
        await Store.RegisterAsync(new NodeRegistration(_node, "here", "boot", 1, 1), default);
        var claimed = Assert.IsType<ClaimOutcome.Claimed>(await Store.ClaimAsync(run, _node, default)).Run;
        var ended = new JournalDraft(EntryKind.RunEnded, JournalJson.Write(new EntryBody.RunEnded(status, null, null)));
        var row = new RunRow(status, WaitReason.None, PauseCause.None, null, true, claimed.Summary);
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(
            new ChangeSet(run, new Fence(_node, claimed.Epoch), Ids.NextRandom(), claimed.LastSeq + 1, Clock.GetUtcNow(), [ended], row, [], []), default));
    }

    /// <summary>Knows every model until it is told not to.</summary>
    internal sealed class Catalogue : IModels
    {
        internal Failure? Refusal { get; set; }

        internal int Checks { get; private set; }

        public Failure? Check(string model, bool moneyIsCapped)
        {
            Checks++;
            return Refusal;
        }

        public long DearestOf(string model, long tokens) => 0;

        public Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken) =>
            throw new InvalidOperationException("no run is driven here");
    }

    internal sealed class Lines : ILogger
    {
        internal ConcurrentQueue<string> All { get; } = new();

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            All.Enqueue($"{logLevel} {formatter(state, exception)}");

        /// <summary>Lines that are not about a run that started.</summary>
        internal IReadOnlyList<string> Remarks => [.. All.Where(line => !line.Contains(" started for ", StringComparison.Ordinal))];
    }
}
