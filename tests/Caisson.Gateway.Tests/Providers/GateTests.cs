using System.Net;
using System.Net.Http.Headers;
using Caisson.Contracts;
using Caisson.Gateway.Providers;
using Caisson.Gateway.Tests.Harness;
using CsCheck;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Providers;

public sealed class GateTests
{
    private static readonly DateTimeOffset Now = new(2026, 8, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly string[] Resets = ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"];
    private static readonly string[] Left = ["x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"];
    private static readonly RunId A = RunId.Parse("01981d3c-0000-7000-8000-00000000000a");
    private static readonly RunId B = RunId.Parse("01981d3c-0000-7000-8000-00000000000b");
    private static readonly RunId C = RunId.Parse("01981d3c-0000-7000-8000-00000000000c");

    [Fact]
    public void Runs_take_turns_however_many_calls_each_has()
    {
        var line = new GateLine<string>(100, TimeSpan.Zero);
        foreach (var (run, ticket) in new[] { (A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (A, "a4"), (C, "c1"), (B, "b2") })
            line.Join(run, ticket);

        Assert.Equal(["a1", "b1", "c1", "a2", "b2", "a3", "a4"], Admitted(line, Now));
    }

    [Fact]
    public void Nobody_goes_in_a_pause_and_after_it_one_by_one_until_the_line_is_empty()
    {
        var line = new GateLine<string>(100, TimeSpan.Zero);
        line.Pause(Now.AddSeconds(9));
        line.Pause(Now.AddSeconds(5));
        foreach (var ticket in new[] { "1", "2" })
            line.Join(A, ticket);

        Assert.Equal(new GateStep<string>.Later(Now.AddSeconds(9)), line.Next(Now));
        Assert.Equal(["1"], Admitted(line, Now.AddSeconds(9)));
        Assert.Equal(new GateStep<string>.Later(Now.AddSeconds(9) + GateLine<string>.Ease), line.Next(Now.AddSeconds(9)));
        Assert.Equal(["2"], Admitted(line, Now.AddSeconds(10)));

        foreach (var ticket in new[] { "3", "4" })
            line.Join(A, ticket);
        Assert.Equal(["3", "4"], Admitted(line, Now.AddSeconds(11)));
    }

    [Fact]
    public void So_many_are_under_way_at_once_and_begin_so_far_apart()
    {
        var line = new GateLine<string>(2, TimeSpan.FromSeconds(3));
        foreach (var ticket in new[] { "1", "2", "3" })
            line.Join(A, ticket);

        Assert.Equal(["1"], Admitted(line, Now));
        Assert.Equal(new GateStep<string>.Later(Now.AddSeconds(3)), line.Next(Now));
        Assert.Equal(["2"], Admitted(line, Now.AddSeconds(3)));
        Assert.Equal(new GateStep<string>.Idle(), line.Next(Now.AddMinutes(1)));
        line.Leave();
        Assert.Equal(["3"], Admitted(line, Now.AddMinutes(1)));
    }

    /// <summary>Whatever comes and goes: all who stay are let in, each once, and no run is passed more than once by another.</summary>
    [Fact]
    public void Everybody_who_stays_gets_in_and_nobody_is_passed_twice() =>
        Gen.Select(Gen.Int[0, 2], Gen.Bool).Array[1, 60].Sample(calls =>
        {
            RunId[] runs = [A, B, C];
            var line = new GateLine<string>(int.MaxValue, TimeSpan.Zero);
            var stays = new List<string>();
            foreach (var (index, (run, gone)) in calls.Index())
            {
                line.Join(runs[run], $"{run} {index}");
                if (gone)
                    line.GiveUp(runs[run], $"{run} {index}");
                else
                    stays.Add($"{run} {index}");
            }

            var order = Admitted(line, Now);
            var left = new int[3];
            foreach (var ticket in stays)
                left[ticket[0] - '0']++;
            var since = new int[3];
            foreach (var run in order.Select(t => t[0] - '0'))
            {
                left[run]--;
                since[run] = 0;
                for (var other = 0; other < 3; other++)
                {
                    if (other != run && left[other] > 0 && ++since[other] > 2)
                        return false;
                }
            }

            return line.Waiting == 0 && order.Order(StringComparer.Ordinal).SequenceEqual(stays.Order(StringComparer.Ordinal));
        });

    [Fact]
    public async Task A_pause_holds_all_runs_and_lets_them_in_when_it_is_over()
    {
        var clock = new FakeTimeProvider(Now);
        using var gate = new ProviderGate(null, null, clock);
        gate.Pause(TimeSpan.FromSeconds(30));
        var shown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        var first = EnterAsync(gate, A, TimeSpan.FromMinutes(1), () => shown.TrySetResult());
        var second = EnterAsync(gate, B, TimeSpan.FromMinutes(1));
        var hasty = EnterAsync(gate, C, TimeSpan.FromSeconds(29));

        Assert.Null(await hasty.WaitAsync(TestStepLog.Patience));
        Assert.Equal(2, gate.Waiting);
        await shown.Task.WaitAsync(TestStepLog.Patience);
        clock.Advance(TimeSpan.FromSeconds(30));
        using var pass = await first.WaitAsync(TestStepLog.Patience);
        Assert.NotNull(pass);
        Assert.False(second.IsCompleted);
        clock.Advance(GateLine<string>.Ease);
        using var other = await second.WaitAsync(TestStepLog.Patience);
        Assert.NotNull(other);
    }

    [Fact]
    public async Task One_that_is_through_or_gives_up_makes_room()
    {
        var clock = new FakeTimeProvider(Now);
        using var gate = new ProviderGate(1, null, clock);
        using var gone = new CancellationTokenSource();
        var first = await EnterAsync(gate, A, TimeSpan.FromMinutes(1));
        var cancelled = gate.EnterAsync(B, TimeSpan.FromMinutes(1), () => Task.CompletedTask, gone.Token);
        var impatient = EnterAsync(gate, B, TimeSpan.FromMilliseconds(500));
        var last = EnterAsync(gate, C, TimeSpan.FromMinutes(1));

        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        clock.Advance(TimeSpan.FromMilliseconds(500));
        Assert.Null(await impatient.WaitAsync(TestStepLog.Patience));
        Assert.False(last.IsCompleted);
        first!.Dispose();
        first.Dispose();
        using var pass = await last.WaitAsync(TestStepLog.Patience);

        Assert.NotNull(pass);
        Assert.False(EnterAsync(gate, A, TimeSpan.FromMinutes(1)).IsCompleted);
    }

    [Theory]
    [InlineData("retry-after: 7", 7_000)]
    [InlineData("retry-after: Sat, 01 Aug 2026 12:00:30 GMT", 30_000)]
    [InlineData("retry-after: Sat, 01 Aug 2026 11:00:00 GMT", 0)]
    [InlineData("retry-after-ms: 250", 250)]
    [InlineData("x-ratelimit-remaining-requests: 0|x-ratelimit-reset-requests: 6m1.5s|x-ratelimit-remaining-tokens: 900|x-ratelimit-reset-tokens: 9h", 361_500)]
    [InlineData("x-ratelimit-remaining-tokens: 0|x-ratelimit-reset-tokens: 120ms", 120)]
    [InlineData("x-ratelimit-remaining-tokens: -3|x-ratelimit-reset-tokens: 1d2h3m4s", 93_784_000)]
    [InlineData("x-ratelimit-remaining-requests: 0|x-ratelimit-reset-requests: 12", 12_000)]
    [InlineData("anthropic-ratelimit-tokens-remaining: 0|anthropic-ratelimit-tokens-reset: 2026-08-01T12:00:20Z|anthropic-ratelimit-requests-remaining: 0|anthropic-ratelimit-requests-reset: 2026-08-01T12:00:05Z", 20_000)]
    [InlineData("anthropic-ratelimit-requests-remaining: 5|anthropic-ratelimit-requests-reset: 2026-08-01T12:00:05Z", null)]
    [InlineData("x-ratelimit-remaining-requests: 0|x-ratelimit-reset-requests: soon", null)]
    [InlineData("x-ratelimit-remaining-requests: 0|x-ratelimit-reset-requests: s", null)]
    [InlineData("x-ratelimit-remaining-requests: 0", null)]
    [InlineData("x: 1", null)]
    public void The_headers_say_how_long(string headers, int? milliseconds)
    {
        using var response = new HttpResponseMessage(HttpStatusCode.TooManyRequests);
        foreach (var header in headers.Split('|'))
            Assert.True(response.Headers.TryAddWithoutValidation(header[..header.IndexOf(':', StringComparison.Ordinal)], header[(header.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim()));

        Assert.Equal(milliseconds, RateLimits.Wait(response.Headers, Now)?.TotalMilliseconds);
    }

    [Fact]
    public void Headers_of_a_stranger_give_a_time_that_is_none_or_not_negative() =>
        Gen.Select(Gen.String[Gen.Char["0123456789.smhd-:TZ "], 0, 40], Gen.Int[0, 4]).Sample((text, name) =>
        {
            using var response = new HttpResponseMessage(HttpStatusCode.TooManyRequests);
            HttpResponseHeaders headers = response.Headers;
            headers.TryAddWithoutValidation(Resets[name], text);
            foreach (var left in Left)
                headers.TryAddWithoutValidation(left, "0");
            return !(RateLimits.Wait(headers, Now) < TimeSpan.Zero);
        });

    private static Task<IDisposable?> EnterAsync(ProviderGate gate, RunId run, TimeSpan patience, Action? waits = null) =>
        gate.EnterAsync(run, patience, () =>
        {
            waits?.Invoke();
            return Task.CompletedTask;
        }, TestContext.Current.CancellationToken);

    private static List<string> Admitted(GateLine<string> line, DateTimeOffset now)
    {
        var order = new List<string>();
        while (line.Next(now) is GateStep<string>.Admit(var ticket))
            order.Add(ticket);
        return order;
    }
}
