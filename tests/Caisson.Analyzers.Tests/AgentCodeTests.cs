using Microsoft.CodeAnalysis;

namespace Caisson.Analyzers.Tests;

/// <summary>Which code is an agent's.</summary>
public sealed class AgentCodeTests
{
    [Fact]
    public Task Helpers_of_helpers_are_followed() => Source.CheckAgentAsync(
        "One();",
        """
        private void One() => Two();
        private void Two() { var all = new[] { 1 }.Select(Three).ToList(); _ = Four; }
        private static Guid Three(int number) => {|CAI002:Guid.NewGuid|}();
        private static DateTime Four { get { return {|CAI001:DateTime.UtcNow|}; } }
        """);

    [Fact]
    public Task Nested_types_and_parts_of_a_type_are_followed() => Source.CheckAsync("""
        public sealed partial class Sample : IAgent
        {
            public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
            {
                await Task.Yield();
                Inner.Go();
                Part();
                Generic<int>();
                return "";
            }

            partial void Part();

            private static class Inner
            {
                internal static void Go() => _ = {|CAI001:DateTime.UtcNow|};
            }
        }

        public sealed partial class Sample
        {
            partial void Part() => _ = {|CAI001:DateTime.Now|};

            private static T? Generic<T>() { _ = {|CAI001:DateTime.Today|}; return default; }
        }
        """);

    [Fact]
    public Task A_type_that_keeps_the_context_is_an_agents() => Source.CheckAsync("""
        public sealed class Research(IRunContext context, HttpClient http)
        {
            internal async Task<string> GoAsync()
            {
                _ = {|CAI001:DateTime.UtcNow|};
                return await context.StepAsync("fetch", () => FetchAsync());
            }

            internal Task<string> FetchAsync() => http.GetStringAsync(context.Input);
        }
        """);

    [Fact]
    public Task A_local_function_is_agent_code_where_agent_code_calls_it() => Source.CheckAgentAsync("""
        await context.StepAsync("a", OnlyInStep);
        await context.StepAsync("b", async () => { await OnlyInStep(); return 1; });
        Outside();

        async Task<int> OnlyInStep() { await Task.Yield(); return DateTime.UtcNow.Year; }
        void Outside() => _ = {|CAI001:DateTime.UtcNow|};
        """);

    [Fact]
    public Task A_lambda_that_takes_a_context_is_an_agent_wherever_it_stands() => Source.CheckAsync(
        """
        var started = DateTime.UtcNow;
        Register("one", async context =>
        {
            await context.StepAsync("a", async () => { await Task.Yield(); return DateTime.UtcNow; });
            return {|CAI001:DateTime.UtcNow|}.ToString();
        });
        Register("two", Two);

        static void Register(string name, Func<IRunContext, Task<string>> agent) => _ = (name, agent, DateTime.UtcNow);

        static async Task<string> Two(IRunContext context)
        {
            await Task.Yield();
            return {|CAI002:Guid.NewGuid|}().ToString();
        }
        """,
        OutputKind.ConsoleApplication);

    [Fact]
    public Task Fields_that_hold_agents_are_read() => Source.CheckAsync("""
        internal static class Agents
        {
            internal static readonly Func<IRunContext, Task<string>> One = context => Task.FromResult({|CAI002:Guid.NewGuid|}().ToString());
            internal static readonly Guid Host = Guid.NewGuid();
        }
        """);

    [Fact]
    public Task A_step_may_hold_functions_of_its_own() => Source.CheckAgentAsync("""
        await context.StepAsync("a", async () =>
        {
            await Task.Yield();
            return Inner() + new[] { 1 }.Select(_ => DateTime.UtcNow.Year).Single();

            int Inner() => DateTime.UtcNow.Year + context.Input.Length;
        });
        """);

    [Fact]
    public Task A_delegate_that_takes_the_step_is_one_wherever_it_is_made() => Source.CheckAgentAsync("""
        Func<StepContext, Task<int>> body = async step => { await Task.Yield(); return DateTime.UtcNow.Year; };
        await context.StepAsync("a", body);
        """);

    [Fact]
    public Task An_implementation_of_the_context_is_no_agent() => Source.CheckAsync("""
        public abstract class Fake : IRunContext
        {
            public DateTimeOffset Now => DateTimeOffset.UtcNow;
            public Guid NewGuid() => Guid.NewGuid();
            public Task SleepUntilAsync(DateTimeOffset until) => Task.Delay(until - Now);
            public abstract Caisson.Contracts.RunId Run { get; }
            public abstract Caisson.Contracts.AgentManifest Manifest { get; }
            public abstract string Input { get; }
            public abstract Random Random { get; }
            public abstract Task<T> StepAsync<T>(string name, Func<StepContext, Task<T>> body, StepOptions<T>? options = null);
            public abstract Task<Signal?> WaitForSignalAsync(string name, TimeSpan? timeout = null);
            public abstract Task<ApprovalDecision> ApproveAsync(string question, ApprovalOptions? options = null);
            public abstract Task<ChildRun> SpawnAsync(ChildSpec child);
            public abstract Task<T> BranchAsync<T>(Func<IRunContext, Task<T>> branch);
            public abstract Task SnapshotAsync(ReadOnlyMemory<byte> state);
            public abstract ReadOnlyMemory<byte>? Saved { get; }
        }
        """);

    [Fact]
    public Task Code_without_agents_is_left_alone() => Source.CheckAsync("""
        public static class Host
        {
            public static void Main() => Console.WriteLine(DateTime.UtcNow);
        }
        """);

    [Fact]
    public Task A_good_agent_is_clean() => Source.CheckAgentAsync("""
        var id = context.NewGuid();
        var deadline = context.Now + TimeSpan.FromHours(1);
        var dice = context.Random.Next(6);
        var page = await context.StepAsync("fetch", async step =>
        {
            using var http = new HttpClient();
            return await http.GetStringAsync("http://localhost/" + step.IdempotencyKey, step.Cancellation);
        });
        var signal = await context.WaitForSignalAsync("go", TimeSpan.FromMinutes(5));
        var decision = await context.ApproveAsync("Go on?", new ApprovalOptions { Timeout = TimeSpan.FromHours(1) });
        var both = await context.WhenAllAsync(
            branch => branch.StepAsync("left", () => Task.FromResult(1)),
            branch => branch.StepAsync("right", () => Task.FromResult(2)));
        var one = await context.SpawnAsync(new ChildSpec("child", "1"));
        var two = await context.SpawnAsync(new ChildSpec("child", "2"));
        var ends = await Task.WhenAll(one.Ended, two.Ended);
        try { _ = both[0] / dice; } catch (Exception) { _ = $"{id} {deadline} {page} {signal} {decision} {ends}"; }
        """);
}
