using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task Inputs_are_read_in_the_order_of_their_arrival()
    {
        var run = await CreateAsync();
        Clock.Advance(TimeSpan.FromSeconds(1));

        Assert.IsType<PostOutcome.Posted>(await PostAsync(run, "z", InputKind.Pause));
        Assert.IsType<PostOutcome.Posted>(await PostAsync(run, "a", InputKind.Resume));
        Assert.IsType<PostOutcome.Posted>(await PostAsync(run, "m", InputKind.Cancel));

        var inbox = await Reader.ReadInboxAsync(run, 10, default);
        Assert.Equal([InputKind.Pause, InputKind.Resume, InputKind.Cancel], inbox.Select(i => i.Kind));
        Assert.Equal("""{"by":"z"}""", System.Text.Encoding.UTF8.GetString(inbox[0].Payload.Span));
        Assert.Equal(Clock.GetUtcNow(), inbox[0].At);
        Assert.Equal(inbox.Take(2).Select(i => i.Id), (await Reader.ReadInboxAsync(run, 2, default)).Select(i => i.Id));
    }

    [Fact]
    public async Task An_input_is_accepted_once()
    {
        var run = await CreateAsync();
        var other = await CreateAsync();

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => PostAsync(run, "same")));

        Assert.Single(outcomes.OfType<PostOutcome.Posted>());
        Assert.Equal(9, outcomes.OfType<PostOutcome.Duplicate>().Count());
        Assert.IsType<PostOutcome.Posted>(await PostAsync(other, "same"));
        Assert.Single(await Reader.ReadInboxAsync(run, 10, default));
    }

    [Fact]
    public async Task An_input_that_was_consumed_is_still_a_duplicate_and_never_shown_again()
    {
        var run = await CreateAndClaimAsync();
        await PostAsync(run.Id, "one");
        await PostAsync(run.Id, "two");
        var inbox = await Reader.ReadInboxAsync(run.Id, 10, default);

        run = await AppendAsync(Unit(await FindAsync(run.Id)) with { ConsumedInputs = [inbox[0].Id] });

        Assert.Equal([inbox[1].Id], (await Reader.ReadInboxAsync(run.Id, 10, default)).Select(i => i.Id));
        Assert.IsType<PostOutcome.Duplicate>(await PostAsync(run.Id, "one"));
        Assert.Single(await Reader.ReadInboxAsync(run.Id, 10, default));
    }

    [Fact]
    public async Task An_input_for_a_run_that_is_unknown_or_over_is_refused()
    {
        var ended = await EndAsync(await CreateAndClaimAsync());

        Assert.IsType<PostOutcome.NotFound>(await PostAsync(new RunId(Ids.NextRun()), "x"));
        Assert.Equal(new PostOutcome.Ended(RunStatus.Completed), await PostAsync(ended.Id, "x"));
        Assert.Empty(await Reader.ReadInboxAsync(ended.Id, 10, default));
    }

    [Fact]
    public async Task An_input_makes_a_paused_run_claimable_and_leaves_it_paused()
    {
        var run = await PauseAsync(await CreateAndClaimAsync());
        Assert.False(await IsClaimableAsync(run.Id));

        await PostAsync(run.Id, "resume", InputKind.Resume);

        Assert.True(await IsClaimableAsync(run.Id));
        var claimed = await ClaimAsync(run.Id);
        Assert.Equal((RunStatus.Paused, PauseCause.Operator), (claimed.Status, claimed.Paused));
        Assert.Contains("\"input\"", System.Text.Encoding.UTF8.GetString((await JournalAsync(run.Id))[^1].Body.Span), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_input_makes_a_run_due_now_that_was_due_later()
    {
        var run = await CreateAndClaimAsync();
        await AppendAsync(Unit(run) with { State = Halted(run, RunStatus.Ready, due: Clock.GetUtcNow().AddHours(1)) });

        await PostAsync(run.Id, "x");

        Assert.True(await IsClaimableAsync(run.Id));
    }

    /// <summary>The owner looked, an input came, the owner lets go: nobody would ever look again if the run were not due.</summary>
    [Fact]
    public async Task An_input_between_the_last_look_and_the_release_is_not_lost()
    {
        var run = await CreateAndClaimAsync();
        await PostAsync(run.Id, "late", InputKind.Resume);

        await PauseAsync(run);

        Assert.True(await IsClaimableAsync(run.Id));
    }

    [Fact]
    public async Task A_release_that_consumes_the_last_input_leaves_the_run_asleep()
    {
        var run = await CreateAndClaimAsync();
        await PostAsync(run.Id, "pause");
        var input = Assert.Single(await Reader.ReadInboxAsync(run.Id, 10, default));

        await AppendAsync(Unit(run, Entry(EntryKind.Paused, "{}")) with { State = Halted(run, RunStatus.Paused, PauseCause.Operator), ConsumedInputs = [input.Id] });

        Assert.False(await IsClaimableAsync(run.Id));
    }

    [Fact]
    public async Task A_run_that_ended_with_an_input_unread_stays_ended()
    {
        var run = await CreateAndClaimAsync();
        await PostAsync(run.Id, "late");

        await EndAsync(run);

        Assert.False(await IsClaimableAsync(run.Id));
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run.Id, _node, default));
    }

    /// <summary>Posts and releases at once, in every order that the store makes of them: none may sleep with an input.</summary>
    [Fact]
    public async Task No_order_of_posts_and_releases_leaves_a_run_asleep_with_an_input()
    {
        var runs = new List<RunRecord>();
        for (var i = 0; i < 40; i++)
            runs.Add(await CreateAndClaimAsync());

        await Task.WhenAll(runs.SelectMany((run, i) => i % 2 == 0
            ? new Task[] { PostAsync(run.Id, "x"), PauseAsync(run) }
            : [PauseAsync(run), PostAsync(run.Id, "x")]));

        foreach (var run in runs)
            Assert.True(await IsClaimableAsync(run.Id), $"run {run.Id} sleeps with an input");
    }
}
