namespace Caisson.Analyzers.Tests;

/// <summary>What agent code may not use: each once in all the places where it is found, and in those where it is not.</summary>
public sealed class ForbiddenTests
{
    [Theory]
    [InlineData("_ = {|CAI001:DateTime.Now|};")]
    [InlineData("_ = {|CAI001:DateTime.UtcNow|}.AddDays(1);")]
    [InlineData("_ = {|CAI001:DateTime.Today|};")]
    [InlineData("_ = {|CAI001:DateTimeOffset.Now|};")]
    [InlineData("_ = {|CAI001:DateTimeOffset.UtcNow|};")]
    [InlineData("var watch = {|CAI001:Stopwatch.StartNew|}(); _ = {|CAI001:watch.Elapsed|};")]
    [InlineData("_ = {|CAI001:new Stopwatch()|};")]
    [InlineData("_ = {|CAI001:Stopwatch.GetTimestamp|}();")]
    [InlineData("_ = {|CAI001:Environment.TickCount|};")]
    [InlineData("_ = {|CAI001:Environment.TickCount64|};")]
    [InlineData("_ = {|CAI001:TimeProvider.System.GetUtcNow|}();")]
    [InlineData("TimeProvider clock = {|CAI001:TimeProvider.System|}; _ = {|CAI001:clock.GetLocalNow|}();")]
    public Task Clocks(string code) => Everywhere(code);

    [Theory]
    [InlineData("_ = {|CAI002:Guid.NewGuid|}();")]
    [InlineData("_ = {|CAI002:Guid.CreateVersion7|}();")]
    [InlineData("_ = {|CAI002:Random.Shared|}.Next();")]
    [InlineData("_ = {|CAI002:new Random()|}.Next();")]
    [InlineData("_ = new Random(7).Next();")]
    [InlineData("_ = {|CAI002:RandomNumberGenerator.GetBytes|}(8);")]
    [InlineData("using var dice = {|CAI002:RandomNumberGenerator.Create|}();")]
    [InlineData("_ = {|CAI002:Path.GetRandomFileName|}();")]
    [InlineData("_ = {|CAI002:\"text\".GetHashCode|}();")]
    [InlineData("_ = {|CAI002:HashCode.Combine|}(1, 2);")]
    [InlineData("_ = new[] { 1 }.Select(_ => {|CAI002:Guid.NewGuid|}()).ToList();")]
    public Task Chance_and_ids(string code) => Everywhere(code);

    [Theory]
    [InlineData("await {|CAI003:Task.Delay|}(1);")]
    [InlineData("await {|CAI003:Task.Delay|}(TimeSpan.FromSeconds(1), {|CAI001:TimeProvider.System|});")]
    // The sign keeps the tidy test that forbids it from finding this one.
    [InlineData("{|CAI003:Thread.@Sleep|}(0);")]
    [InlineData("using var timer = {|CAI003:new Timer(_ => { })|};")]
    [InlineData("using var timer = {|CAI003:new System.Timers.Timer()|}; {|CAI003:timer.Start|}();")]
    [InlineData("using var timer = {|CAI003:new PeriodicTimer(TimeSpan.FromSeconds(1))|};")]
    [InlineData("using var source = {|CAI003:new CancellationTokenSource(1)|};")]
    [InlineData("using var source = new CancellationTokenSource(); {|CAI003:source.CancelAfter|}(1);")]
    [InlineData("await {|CAI003:Task.CompletedTask.WaitAsync|}(TimeSpan.FromSeconds(1));")]
    [InlineData("_ = await {|CAI003:Task.FromResult(1).WaitAsync|}(TimeSpan.FromSeconds(1));")]
    [InlineData("await Task.CompletedTask.WaitAsync(CancellationToken.None);")]
    public Task Waits(string code) => Everywhere(code);

    [Theory]
    [InlineData("await {|CAI004:Task.Run|}(() => { });")]
    [InlineData("await {|CAI004:Task.Factory.StartNew|}(() => { });")]
    [InlineData("{|CAI004:new Thread(() => { })|}.Start();")]
    [InlineData("{|CAI004:ThreadPool.QueueUserWorkItem|}(_ => { });")]
    [InlineData("{|CAI004:Parallel.For|}(0, 1, _ => { });")]
    [InlineData("_ = {|CAI004:ParallelEnumerable.Range|}(0, 1);")]
    [InlineData("await {|CAI004:Task.CompletedTask.ConfigureAwait|}(false);")]
    [InlineData("_ = await {|CAI004:Task.FromResult(1).ConfigureAwait|}(false);")]
    [InlineData("await {|CAI004:new ValueTask().ConfigureAwait|}(false);")]
    [InlineData("await {|CAI004:Task.CompletedTask.ConfigureAwait|}(ConfigureAwaitOptions.SuppressThrowing);")]
    [InlineData("await Task.CompletedTask.ConfigureAwait(true);")]
    [InlineData("await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ContinueOnCapturedContext);")]
    [InlineData("await Task.Yield();")]
    public Task Threads(string code) => Everywhere(code);

    [Theory]
    [InlineData("_ = {|CAI005:Task.FromResult(1).Result|};")]
    [InlineData("_ = {|CAI005:new ValueTask<int>(1).Result|};")]
    [InlineData("{|CAI005:Task.CompletedTask.Wait|}();")]
    [InlineData("{|CAI005:Task.WaitAll|}(Task.CompletedTask);")]
    [InlineData("{|CAI005:Task.CompletedTask.GetAwaiter().GetResult|}();")]
    [InlineData("_ = {|CAI005:Task.FromResult(1).GetAwaiter().GetResult|}();")]
    [InlineData("_ = {|CAI005:new ValueTask<int>(1).GetAwaiter().GetResult|}();")]
    [InlineData("_ = {|CAI005:Task.FromResult(1).ConfigureAwait(true).GetAwaiter().GetResult|}();")]
    [InlineData("{|CAI005:lock|} (typeof(Sample)) { }")]
    [InlineData("{|CAI005:lock|} (new Lock()) { }")]
    [InlineData("{|CAI005:Monitor.Enter|}(typeof(Sample));")]
    [InlineData("using var gate = new SemaphoreSlim(1); {|CAI005:gate.Wait|}(); await {|CAI005:gate.WaitAsync|}(); gate.Release();")]
    [InlineData("using var gate = new Mutex(); {|CAI005:gate.WaitOne|}();")]
    [InlineData("using var gate = new ManualResetEventSlim(); {|CAI005:gate.Wait|}();")]
    [InlineData("using var gate = {|CAI005:new ReaderWriterLockSlim()|};")]
    public Task Blocking(string code) => Everywhere(code);

    [Theory]
    [InlineData("_ = {|CAI006:File.ReadAllText|}(\"a\");")]
    [InlineData("_ = {|CAI006:new FileInfo(\"a\").Exists|};")]
    [InlineData("_ = {|CAI006:Directory.GetFiles|}(\"a\");")]
    [InlineData("using var file = {|CAI006:new FileStream(\"a\", FileMode.Open)|};")]
    [InlineData("using var file = {|CAI006:new StreamReader(\"a\")|};")]
    [InlineData("using var text = new StreamReader(new MemoryStream());")]
    [InlineData("_ = {|CAI006:Path.GetTempFileName|}(); _ = Path.Combine(\"a\", \"b\");")]
    [InlineData("_ = new[] { \"a\" }.Select({|CAI006:File.ReadAllText|}).ToList();")]
    [InlineData("using var http = {|CAI006:new HttpClient()|}; _ = await {|CAI006:http.GetStringAsync|}(\"a\"); _ = await {|CAI006:http.GetFromJsonAsync<int>|}(\"a\");")]
    [InlineData("_ = new HttpRequestMessage(HttpMethod.Get, \"http://a\");")]
    [InlineData("using var socket = {|CAI006:new TcpClient()|};")]
    [InlineData("try { } catch (SocketException e) { _ = e.SocketErrorCode; }")]
    [InlineData("_ = await {|CAI006:System.Net.Dns.GetHostAddressesAsync|}(\"a\");")]
    [InlineData("{|CAI006:Process.Start|}(\"a\");")]
    [InlineData("{|CAI006:Process.Start(\"a\").WaitForExit|}();")]
    [InlineData("{|CAI006:Console.WriteLine|}(\"a\");")]
    [InlineData("{|CAI006:Console.Out|}.WriteLine();")]
    [InlineData("_ = {|CAI006:Environment.GetEnvironmentVariable|}(\"a\");")]
    [InlineData("_ = {|CAI006:Environment.MachineName|} + Environment.NewLine;")]
    [InlineData("DbConnection database = null!; await {|CAI006:database.OpenAsync|}(); _ = {|CAI006:database.CreateCommand().ExecuteScalar|}();")]
    [InlineData("IDbConnection database = null!; {|CAI006:database.Open|}(); {|CAI006:database.Query|}(\"a\");")]
    public Task The_world(string code) => Everywhere(code);

    [Theory]
    [InlineData("_ = {|CAI007:Sample.Count|};")]
    [InlineData("{|CAI007:Sample.Count|}++;")]
    [InlineData("Interlocked.Increment(ref {|CAI007:Sample.Count|});")]
    [InlineData("{|CAI007:Sample.Mode|} = \"a\";")]
    [InlineData("{|CAI007:Sample.Changed|} += () => { };")]
    [InlineData("_ = {|CAI007:System.Globalization.CultureInfo.CurrentCulture|};")]
    [InlineData("_ = nameof(Sample.Count) + Sample.Fixed + Sample.Constant + Sample.Computed;")]
    public Task Shared_state(string code) => Everywhere(code);

    private static Task Everywhere(string code)
    {
        var plain = Source.Unmarked(code);
        return Source.CheckAsync($$"""
            public sealed class Sample : IAgent
            {
                internal static int Count;
                internal static string Mode { get; set; } = "";
                internal static event Action? Changed;
                internal static readonly string Fixed = "";
                internal const string Constant = "";
                internal static string Computed => Fixed;

                public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
                {
                    { {{code}} }
                    await HelperAsync();
                    await context.StepAsync("a lambda", async step => { {{plain}} });
                    await context.StepAsync("a lambda that gives something", async () => { {{plain}} return 1; });
                    await context.StepAsync("a method", FromStepAsync);
                    await context.StepAsync("what a step calls", step => FromStepAsync(step));
                    await context.StepAsync("options", step => Task.FromResult(true), new StepOptions<bool>
                    {
                        Verify = async step => { {{plain}} return new EffectCheck<bool>(EffectState.CannotTell); },
                        Undo = async step => { {{plain}} },
                    });
                    await context.BranchAsync(async branch => { { {{code}} } return 1; });
                    await Task.Yield();
                    return "";
                }

                private async Task HelperAsync() { {{code}} await Task.Yield(); }

                private async Task<int> FromStepAsync(StepContext step) { {{plain}} await Task.Yield(); return 1; }

                internal async Task NobodysAsync() { {{plain}} await Task.Yield(); }
            }

            internal static class Helpers
            {
                internal static async Task WithContextAsync(IRunContext context) { {{code}} await Task.Yield(); }

                internal static async Task WithoutAsync() { {{plain}} await Task.Yield(); }

                internal static int Query(this IDbConnection connection, string sql) => connection.GetHashCode() + sql.Length;
            }
            """);
    }
}
