using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>What leaves the box of a step decides what becomes of it when it is interrupted.</summary>
public sealed class EgressTests : EngineTestBase
{
    private const string Loop = "name: l\nloop: {model: p/m, instructions: go, tools: [shell]}\negress:\n  - {host: api.test.example}\n";
    private static readonly EgressIntent Post = new(EgressKind.Request, "api.test.example", 443, "POST", "/pay", "token");

    private static ScriptedModel Models(int calls = 1) => new(turn => turn < calls ? $"{{\"command\":\"call {turn}\"}}" : null) { Tool = "shell" };

    private static Gate Opened()
    {
        var gate = new Gate();
        gate.Open();
        return gate;
    }

    [Fact]
    public async Task A_command_that_had_sent_something_is_not_repeated_after_a_crash_and_the_model_is_told()
    {
        var (gate, egress, models) = (new Gate(), new FakeEgress(), Models());
        var sent = false;
        var first = new RecordingBoxes(gate)
        {
            Does = async _ =>
            {
                sent = await egress.Log.IntentAsync(Post, default);
                return null;
            },
        };
        var server = await StartAsync(models: models, sandboxes: [first], egress: egress);
        var run = await server.CreateAsync(Loop);
        await gate.Reached;

        Assert.True(sent);
        Assert.Equal(EntryKind.EgressIntended, (await server.KindsAsync(run))[^1]);
        await server.StopHardAsync();
        gate.Open();
        var second = new RecordingBoxes(gate);
        var next = await StartAsync(models: models, sandboxes: [second], egress: new FakeEgress());

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Empty(second.Seen);
        var journal = await next.JournalAsync(run);
        Assert.Equal([EntryKind.EgressIntended, EntryKind.StepUnknown, EntryKind.StepResolved], journal.Where(e => e.Kind is EntryKind.EgressIntended or EntryKind.StepUnknown or EntryKind.StepResolved).Select(e => e.Kind));
        var body = JournalJson.Read<EntryBody.EgressIntended>(journal.Single(e => e.Kind == EntryKind.EgressIntended).Body);
        Assert.Equal(("shell", EgressKind.Request, "api.test.example", 443, "POST", "/pay", "token"), (body.Step.Name, body.What, body.Host, body.Port, body.Method, body.Path, body.Secret));
    }

    [Fact]
    public async Task A_command_that_only_read_is_repeated()
    {
        var (gate, egress, models) = (new Gate(), new FakeEgress(), Models());
        var first = new RecordingBoxes(gate)
        {
            Does = _ =>
            {
                egress.Log.Decided(new EgressDecision(EgressDecision.Allowed, "GET", "api.test.example", 443, "/", null, null));
                return Task.FromResult<ExecOutcome?>(null);
            },
        };
        var server = await StartAsync(models: models, sandboxes: [first], egress: egress);
        var run = await server.CreateAsync(Loop);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        var second = new RecordingBoxes(gate);

        var next = await StartAsync(models: models, sandboxes: [second], egress: new FakeEgress());

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Single(second.Seen);
        Assert.DoesNotContain(EntryKind.StepUnknown, await next.KindsAsync(run));
    }

    [Fact]
    public async Task A_box_that_is_lost_after_something_left_it_is_no_reason_to_try_again()
    {
        var (egress, tries) = (new FakeEgress(), 0);
        var boxes = new RecordingBoxes(Opened())
        {
            Does = async _ =>
            {
                tries++;
                await egress.Log.IntentAsync(Post, default);
                return new ExecOutcome.Lost(new Failure(ErrorCodes.SandboxLost, "gone"));
            },
        };
        var server = await StartAsync(models: Models(), sandboxes: [boxes], egress: egress);

        var run = await server.CreateAsync(Loop);

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(1, tries);
        Assert.Contains(EntryKind.StepUnknown, await server.KindsAsync(run));
    }

    [Fact]
    public async Task The_same_intent_is_written_once_for_each_attempt_and_many_are_bounded()
    {
        var egress = new FakeEgress();
        var answers = new List<bool>();
        var boxes = new RecordingBoxes(Opened())
        {
            Does = async _ =>
            {
                for (var i = 0; i < 200; i++)
                    answers.Add(await egress.Log.IntentAsync(Post with { Path = $"/{i / 2}" }, default));
                return null;
            },
        };
        var server = await StartAsync(models: Models(), sandboxes: [boxes], egress: egress);

        var run = await server.CreateAsync(Loop);

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.All(answers, Assert.True);
        var intents = (await server.JournalAsync(run)).Where(e => e.Kind == EntryKind.EgressIntended).Select(e => JournalJson.Read<EntryBody.EgressIntended>(e.Body)).ToList();
        Assert.Equal(64, intents.Count);
        Assert.Equal([true], intents.Select(i => i.More).Where(more => more));
        Assert.True(intents[^1].More);
    }

    [Fact]
    public async Task Nothing_may_leave_without_a_step_or_without_the_ownership()
    {
        var (egress, gate) = (new FakeEgress(), new Gate());
        var server = await StartAsync(models: new ScriptedModel(turn => turn < 1 ? "{\"command\":\"x\"}" : null) { Tool = "shell", GateAt = 1, Gate = gate }, sandboxes: [new RecordingBoxes(Opened())], egress: egress);
        var run = await server.CreateAsync(Loop);
        await gate.Reached;

        // The command's step has ended, the model is being asked.
        Assert.True(egress.Log.MaySend);
        Assert.False(await egress.Log.IntentAsync(Post, default));
        await server.StopHardAsync();

        Assert.False(await egress.Log.IntentAsync(Post, default));
        gate.Open();
        var next = await StartAsync(models: Models(), sandboxes: [new RecordingBoxes(Opened())], egress: new FakeEgress());
        await next.UntilAsync(run, RunStatus.Completed);
        Assert.DoesNotContain(EntryKind.EgressIntended, await next.KindsAsync(run));
    }

    [Fact]
    public async Task Decisions_are_counted_and_a_denial_is_told_to_the_model()
    {
        var egress = new FakeEgress();
        var boxes = new RecordingBoxes(Opened())
        {
            Does = _ =>
            {
                for (var i = 0; i < 3; i++)
                    egress.Log.Decided(new EgressDecision(ErrorCodes.EgressDenied, "GET", "evil.example", 80, "/", null, "caisson: GET evil.example:80 is denied: no"));
                egress.Log.Moved("api.test.example", 443, 10, 20);
                return Task.FromResult<ExecOutcome?>(null);
            },
        };
        var server = await StartAsync(models: Models(), sandboxes: [boxes], egress: egress);

        var run = await server.CreateAsync(Loop);

        await server.UntilAsync(run, RunStatus.Completed);
        var events = await server.Store.ReadEventsAsync(run, default);
        Assert.Equal([(ErrorCodes.EgressDenied, "GET evil.example:80", 3L), ("moved", "api.test.example:443", 1L)], events.Select(e => (e.Code, e.Subject, e.Count)));
        var result = (await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.StepCompleted && JournalJson.Read<EntryBody.StepCompleted>(e.Body).Step.Kind == StepKind.Tool);
        Assert.EndsWith("\\n[caisson: GET evil.example:80 is denied: no]\"}", Encoding.UTF8.GetString(result.Payload!.Value.Span), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_bytes_of_earlier_owners_count()
    {
        var (gate, egress, models) = (new Gate(), new FakeEgress(), Models(2));
        var commands = 0;
        var first = new RecordingBoxes(gate)
        {
            Does = _ =>
            {
                egress.Log.Moved("api.test.example", 443, 100, 200);
                commands++;
                return Task.FromResult<ExecOutcome?>(null);
            },
        };
        gate.Open();
        var server = await StartAsync(models: models, sandboxes: [first], egress: egress);
        var run = await server.CreateAsync(Loop);
        await server.UntilAsync(run, RunStatus.Completed);

        Assert.Equal([0L], egress.Used);
        Assert.Equal(2, commands);
        Assert.Equal(600, (await server.Store.ReadEventsAsync(run, default)).Sum(e => e.Sent + e.Received));
    }

    [Fact]
    public async Task A_manifest_is_refused_whose_wishes_are_not_granted()
    {
        var server = await StartAsync(models: Models(), sandboxes: [new RecordingBoxes(Opened())]);

        var refused = await Assert.ThrowsAsync<Xunit.Sdk.XunitException>(() => server.CreateAsync(Loop));

        Assert.Contains("this server lets nothing out of boxes", refused.Message, StringComparison.Ordinal);
    }
}
