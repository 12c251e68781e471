using Caisson.Contracts;
using Caisson.Core.Journal;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Harness;

/// <summary>A step log that keeps everything in lists. Time stands still but for back-offs, which are over at once.</summary>
internal sealed class TestStepLog(FakeTimeProvider clock) : IStepLog
{
    /// <summary>How long a test waits for what must come, in real time.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _occurrences = [];
    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _shown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _leave = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _maySend = true;

    public RunId Run { get; init; } = RunId.Parse("01981d3c-0000-7000-8000-000000000001");

    public long Epoch { get; init; } = 3;

    public Dictionary<StepKey, StepRecord> Records { get; } = [];

    public DriftReport? Drift { get; set; }

    public LimitDenial? Denial { get; set; }

    /// <summary>So many holds are granted.</summary>
    public int DenyAfter { get; set; } = int.MaxValue;

    /// <summary>Everything in the order in which it came, a word each.</summary>
    public List<string> Events { get; } = [];

    public List<Hold?> Holds { get; } = [];

    public List<(int Attempt, Failure Failure, HoldFate Fate, TimeSpan? Wait)> Failures { get; } = [];

    public List<StepResult> Completed { get; } = [];

    public CancellationToken Halting { get; set; }

    public bool MaySend
    {
        get
        {
            if (_maySend)
                _leave.TrySetResult();
            else
                _asked.TrySetResult();
            return _maySend;
        }
        set => _maySend = value;
    }

    /// <summary>Somebody wanted to send and was not allowed to.</summary>
    public Task AskedInVain => _asked.Task.WaitAsync(Patience);

    /// <summary>Allows sending from now on and lets time pass until somebody has seen it, and no longer: a call on its way has timers too.</summary>
    public async Task AllowAsync()
    {
        _leave = new(TaskCreationOptions.RunContinuationsAsynchronously);
        MaySend = true;
        var began = TimeProvider.System.GetTimestamp();
        while (!_leave.Task.IsCompleted)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < Patience, $"nobody has asked to send; events: {string.Join(' ', Events)}");
            clock.Advance(TimeSpan.FromMilliseconds(50));
            await Task.Yield();
        }
    }

    public StepKey ModelStep(string identity)
    {
        var occurrence = _occurrences[identity] = _occurrences.GetValueOrDefault(identity) + 1;
        return new StepKey($"{identity}-{occurrence}");
    }

    public StepLookup Find(StepKey key, StepSubject subject) =>
        Drift is { } drift ? new StepLookup.Drifted(drift)
        : Records.TryGetValue(key, out var record) ? new StepLookup.Recorded(record)
        : new StepLookup.NotRecorded(PriorAttempts);

    public int PriorAttempts { get; set; }

    public Task<BeginOutcome> BeginAsync(StepKey key, StepSubject subject, Hold? hold, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            Events.Add("begin");
            _begun.TrySetResult();
            Holds.Add(hold);
            if (Holds.Count > DenyAfter)
                Denial = new LimitDenial("run", LimitDimension.NanoUsd, 0, 0, 0, hold!.NanoUsd);
            return Task.FromResult<BeginOutcome>(Denial is { } denial ? new BeginOutcome.Denied(denial) : new BeginOutcome.Begun());
        }
    }

    /// <summary>What the run was shown to wait for.</summary>
    public List<OutsideWait?> Waits { get; } = [];

    /// <summary>Completes with the first hold.</summary>
    public Task Begun => _begun.Task.WaitAsync(Patience);

    /// <summary>Completes with the first failed attempt.</summary>
    public Task Failed => _failed.Task.WaitAsync(Patience);

    /// <summary>Completes when the run shows that it waits.</summary>
    public Task Shown => _shown.Task.WaitAsync(Patience);

    /// <summary>Back-offs take their time, and the test moves the clock.</summary>
    public bool KeepsTime { get; init; }

    public Task ShowWaitAsync(OutsideWait? wait, CancellationToken cancellationToken)
    {
        lock (_lock)
            Waits.Add(wait);
        _shown.TrySetResult();
        return Task.CompletedTask;
    }

    public Task FailAttemptAsync(StepKey key, StepSubject subject, int attempt, Failure failure, HoldFate fate, DateTimeOffset? retryAt, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            Events.Add($"fail:{fate}");
            _failed.TrySetResult();
            Failures.Add((attempt, failure, fate, retryAt - clock.GetUtcNow()));
            if (retryAt is { } time && !KeepsTime)
                clock.SetUtcNow(time);
        }

        return Task.CompletedTask;
    }

    public Task CompleteAsync(StepKey key, StepSubject subject, StepResult result, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            Events.Add("complete");
            Completed.Add(result);
            Records[key] = new StepRecord(Records.Count + 1, key, subject, result.Result, result.Failure, null);
        }

        return Task.CompletedTask;
    }

    /// <summary>The same journal as the next owner sees it.</summary>
    public TestStepLog Reopened()
    {
        var next = new TestStepLog(clock) { Epoch = Epoch + 1 };
        foreach (var (key, record) in Records)
            next.Records.Add(key, record);
        return next;
    }
}
