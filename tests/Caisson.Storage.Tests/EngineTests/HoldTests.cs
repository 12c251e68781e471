using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Operations;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Calls that would fit, if others did not hold so much.</summary>
public sealed class HoldTests : EngineTestBase
{
    private const string Asking = "name: test\nloop: { model: m/x, instructions: Answer. }\n";

    [Fact]
    public async Task A_call_that_only_another_s_hold_keeps_out_waits_for_it_and_shows_that()
    {
        var model = new FrugalModel();
        var server = await StartAsync(models: model);
        await CapAsync(server, 150);
        var first = await server.CreateAsync(Asking, "holds");
        await model.Gate.Reached;

        var second = await server.CreateAsync(Asking, "waits");
        var waiting = await server.UntilAsync(second, r => r.Waiting == WaitReason.Budget, "waits for room");
        Assert.Equal(RunStatus.Waiting, waiting.Status);
        Assert.Contains("tenant:default", waiting.Summary.Detail, StringComparison.Ordinal);

        model.Gate.Open();
        await server.UntilAsync(first, RunStatus.Completed);
        Assert.Equal(RunStatus.Completed, (await server.UntilAsync(second, r => r.Status.IsFinal() || r.Status == RunStatus.Paused, "ends")).Status);
    }

    [Fact]
    public async Task One_that_what_is_spent_keeps_out_does_not_wait()
    {
        var model = new FrugalModel();
        var server = await StartAsync(models: model);
        await CapAsync(server, 105);
        model.Gate.Open();
        await server.UntilAsync(await server.CreateAsync(Asking, "holds"), RunStatus.Completed);

        var late = await server.UntilAsync(await server.CreateAsync(Asking, "late"), RunStatus.Paused);

        Assert.Equal((PauseCause.Budget, LimitDimension.Tokens), (late.Paused, late.Summary.LimitAt));
    }

    private static async Task CapAsync(TestServer server, int tokens) =>
        Assert.IsType<OperationOutcome.Accepted>(await server.Operations.SetTenantCapsAsync("default", new Dictionary<string, string> { ["tokens"] = $"{tokens}" }, default));

    /// <summary>Holds 100 tokens for each call and uses 10. The call of the run whose input is <c>holds</c> waits at the gate.</summary>
    private sealed class FrugalModel : IModels
    {
        internal Gate Gate { get; } = new();

        public Failure? Check(string model, bool moneyIsCapped) => null;

        public long DearestOf(string model, long tokens) => 0;

        public async Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken)
        {
            var key = log.ModelStep(request.Identity);
            var subject = new StepSubject(StepKind.Model, request.Model, request.Identity, null, null);
            var answer = new ModelAnswer("done", [], "stop", "x", null);
            if (log.Find(key, subject) is StepLookup.Recorded)
                return new ModelOutcome.Answered(answer, key, true);
            if (await log.BeginAsync(key, subject, new Hold(0, 100) { InputTokens = 50, OutputTokens = 50 }, cancellationToken) is BeginOutcome.Denied denied)
                return new ModelOutcome.LimitReached(denied.Denial);
            if (request.Messages[^1].Text == "holds")
                await Gate.PassAsync(cancellationToken);
            await log.CompleteAsync(key, subject, new StepResult(Encoding.UTF8.GetBytes("\"done\""), new Usage(0, 5, 5), 1, TimeProvider.System.GetUtcNow()), cancellationToken);
            return new ModelOutcome.Answered(answer, key, false);
        }
    }
}
