namespace Caisson.Analyzers.Tests;

/// <summary>Side by side without scopes, and calls in an order that does not hold.</summary>
public sealed class JoinTests
{
    private const string Members = """
        private readonly List<string> _urls = [];
        private static Task<int> FetchAsync(IRunContext context, string url) => context.StepAsync(url, () => Task.FromResult(1));
        """;

    [Theory]
    [InlineData("""await {|CAI008:Task.WhenAll|}(context.SleepAsync(default), context.SleepAsync(default));""")]
    [InlineData("""await {|CAI008:Task.WhenAny|}(context.WaitForSignalAsync("a"), context.SleepAsync(default));""")]
    [InlineData("""await {|CAI008:Task.WhenAll|}(_urls.Select(url => FetchAsync(context, url)));""")]
    [InlineData("""await {|CAI008:Task.WhenAll|}(_urls.Select(async url => await FetchAsync(context, url) + 1));""")]
    [InlineData("""var tasks = _urls.Select(url => FetchAsync(context, url)).ToList(); await {|CAI008:Task.WhenAll|}(tasks);""")]
    [InlineData("""var tasks = new List<Task>(); foreach (var url in _urls) tasks.Add(FetchAsync(context, url)); await {|CAI008:Task.WhenAll|}(tasks);""")]
    [InlineData("""var tasks = new Task[1]; tasks[0] = FetchAsync(context, ""); await {|CAI008:Task.WhenAny|}(tasks);""")]
    [InlineData("""var one = FetchAsync(context, "1"); var two = FetchAsync(context, "2"); await {|CAI008:Task.WhenAll|}(one, two);""")]
    [InlineData("""await {|CAI008:Task.WhenAll|}(One(), One()); async Task One() => await FetchAsync(context, "");""")]
    [InlineData("""await {|CAI008:Task.WhenAll|}(new[] { TimeSpan.Zero }.Select(context.SleepAsync));""")]
    [InlineData("""await foreach (var done in {|CAI008:Task.WhenEach|}(FetchAsync(context, ""))) _ = done;""")]
    public Task Plain_joins_of_calls_are_found(string code) => Source.CheckAgentAsync(code, Members);

    [Theory]
    [InlineData("""await Task.WhenAll(Task.CompletedTask, Task.CompletedTask);""")]
    [InlineData("""await context.WhenAllAsync(_urls.Select(url => (Func<IRunContext, Task<int>>)(branch => FetchAsync(branch, url))));""")]
    [InlineData("""var children = new List<ChildRun>(); foreach (var url in _urls) children.Add(await context.SpawnAsync(new ChildSpec("a", url))); await Task.WhenAll(children.Select(child => child.Ended));""")]
    [InlineData("""await context.StepAsync("a", async () => { await Task.WhenAll(_urls.Select(url => File.ReadAllTextAsync(url))); return 1; });""")]
    [InlineData("""var page = await FetchAsync(context, ""); await Task.WhenAll(Task.FromResult(page));""")]
    [InlineData("""await Task.WhenAll(Task.FromResult(context.NewGuid()));""")]
    public Task Other_joins_are_not(string code) => Source.CheckAgentAsync(code, Members);

    [Theory]
    [InlineData("""foreach (var pair in {|CAI009:_table|}) await FetchAsync(context, pair.Key);""")]
    [InlineData("""foreach (var key in {|CAI009:_table.Keys|}) await context.SleepAsync(default);""")]
    [InlineData("""foreach (var value in {|CAI009:_readable.Values|}) await context.SleepAsync(default);""")]
    [InlineData("""foreach (var text in {|CAI009:_set|}) _ = context.NewGuid();""")]
    [InlineData("""foreach (var text in {|CAI009:_set|}) _ = context.Random.Next();""")]
    [InlineData("""foreach (var text in {|CAI009:_set.Where(text => text != "")|}) await FetchAsync(context, text);""")]
    [InlineData("""foreach (var pair in {|CAI009:_shared|}) await FetchAsync(context, pair.Key);""")]
    [InlineData("""await context.WhenAllAsync({|CAI009:_set|}.Select(text => (Func<IRunContext, Task<int>>)(branch => FetchAsync(branch, text))));""")]
    public Task Hash_order_is_found_where_calls_are_made_in_it(string code) => Source.CheckAgentAsync(code, Tables);

    [Theory]
    [InlineData("""foreach (var pair in _table) _ = pair.Key.Length;""")]
    [InlineData("""foreach (var pair in _table.OrderBy(pair => pair.Key)) await FetchAsync(context, pair.Key);""")]
    [InlineData("""foreach (var text in _set.Order().Where(text => text != "")) await FetchAsync(context, text);""")]
    [InlineData("""foreach (var pair in _sorted) await FetchAsync(context, pair.Key);""")]
    [InlineData("""await context.StepAsync("a", async () => { foreach (var text in _set) await Task.Yield(); return 1; });""")]
    public Task Order_that_holds_or_does_not_matter_is_not(string code) => Source.CheckAgentAsync(code, Tables);

    [Fact]
    public Task Both_are_found_in_helpers_and_not_where_only_steps_come() => Source.CheckAgentAsync(
        "await GoAsync(context);",
        Tables + """
            private async Task GoAsync(IRunContext context)
            {
                foreach (var text in {|CAI009:_set|})
                    await FetchAsync(context, text);
                await {|CAI008:Task.WhenAll|}(FetchAsync(context, ""));
                await context.StepAsync("a", FromStepAsync);
            }

            private async Task<int> FromStepAsync()
            {
                foreach (var text in _set)
                    await Task.WhenAll(File.ReadAllTextAsync(text));
                return 1;
            }
            """);

    [Theory]
    [InlineData("""await context.StepAsync("a", async () => { await {|CAI010:context.SleepAsync|}(default); return 1; });""")]
    [InlineData("""await context.StepAsync("a", async () => { await {|CAI010:context.StepAsync|}("b", () => Task.FromResult(1)); return 1; });""")]
    [InlineData("""await context.StepAsync("a", step => Task.FromResult({|CAI010:context.NewGuid|}()));""")]
    [InlineData("""await context.StepAsync("a", step => Task.FromResult({|CAI010:context.Random|}.Next()));""")]
    [InlineData("""await context.StepAsync("a", () => { Inner(); return Task.FromResult(1); void Inner() => {|CAI010:context.NewGuid|}(); });""")]
    [InlineData("""await context.StepAsync("a", step => Task.FromResult(context.Input + context.Run + context.Now));""")]
    public Task Calls_of_the_run_are_found_in_steps(string code) => Source.CheckAgentAsync(code);

    private const string Tables = Members + """
        private readonly Dictionary<string, int> _table = [];
        private readonly IReadOnlyDictionary<string, int> _readable = new Dictionary<string, int>();
        private readonly HashSet<string> _set = [];
        private readonly ConcurrentDictionary<string, int> _shared = new();
        private readonly SortedDictionary<string, int> _sorted = [];
        """;
}
