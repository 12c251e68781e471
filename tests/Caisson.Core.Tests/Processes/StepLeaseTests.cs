using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Processes;

namespace Caisson.Core.Tests.Processes;

/// <summary>One step whose body is somewhere else: who may tell its end, and what becomes of it when nobody does.</summary>
public sealed class StepLeaseTests
{
    private static readonly StepContext Context = new("run.key", 1, 1, CancellationToken.None);

    private readonly StepLease _lease;
    private int _minted;

    public StepLeaseTests() =>
        _lease = new StepLease(new StepCall(new StepKey("key"), new StepSubject(StepKind.Named, "pay", "", null, null), ""), () => $"key.{++_minted}");

    [Fact]
    public async Task An_attempt_is_handed_out_and_its_end_is_the_result_of_the_body()
    {
        var next = _lease.Next;
        var attempt = _lease.AttemptAsync(Context);
        Assert.Equal(new ProgramAnswer.Run("key.1", "run.key", 1), await next);

        Assert.True(_lease.TryEnd("key.1", new StepEnd.Done(JsonElement.Parse("7"))));

        Assert.Equal(7, (await attempt).GetInt32());
        Assert.False(_lease.Next.IsCompleted);
        _lease.Over(new ProgramAnswer.Done());
        Assert.Equal(new ProgramAnswer.Done(), await _lease.Next);
    }

    [Fact]
    public async Task The_token_of_an_earlier_attempt_is_stale_and_that_of_the_last_one_told_is_answered_again()
    {
        var first = _lease.AttemptAsync(Context);
        Assert.False(_lease.TryEnd("key.7", new StepEnd.Done(default)));
        Assert.True(_lease.TryEnd("key.1", new StepEnd.Failed(new Failure("later", "later", true))));
        await Assert.ThrowsAsync<StepFailedException>(() => first);

        var second = _lease.AttemptAsync(Context with { Attempt = 2 });
        Assert.True(_lease.TryEnd("key.1", new StepEnd.Done(JsonElement.Parse("1"))));
        Assert.Equal(new ProgramAnswer.Run("key.2", "run.key", 2), await _lease.Next);
        Assert.False(second.IsCompleted);
        Assert.True(_lease.IsUnderWay("key.2"));

        Assert.True(_lease.TryEnd("key.2", new StepEnd.Done(JsonElement.Parse("2"))));
        Assert.False(_lease.TryEnd("key.1", new StepEnd.Done(JsonElement.Parse("1"))));
        Assert.Equal(2, (await second).GetInt32());
    }

    [Fact]
    public async Task A_program_that_goes_leaves_its_attempt_broken_and_one_that_was_not_handed_out_surely_not_begun()
    {
        var attempt = _lease.AttemptAsync(Context);
        _lease.Leave();
        Assert.True((await Assert.ThrowsAsync<StepBrokenException>(() => attempt)).Last);
        Assert.True(_lease.IsLeft);

        Assert.True((await Assert.ThrowsAsync<StepFailedException>(() => _lease.AttemptAsync(Context))).Failure.Retryable);
        Assert.Equal(1, _minted);
    }
}
