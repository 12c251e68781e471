using System.Text.Json;
using Caisson.Cli.Traces;
using Caisson.Contracts;

namespace Caisson.System.Tests.Units;

public sealed class TraceTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

    private readonly List<JournalEntryView> _entries = [];

    [Fact]
    public void A_crash_ends_a_segment_and_the_open_step_shows()
    {
        Add("run_created", """{"manifest":{"name":"a"}}""");
        Add("epoch_claimed", """{"reason":"start","in_doubt":[]}""", epoch: 1);
        Add("step_started", Step("model", "m", "h1", ""","hold":{"prices":"before"}"""), epoch: 1, key: "k1");
        Add("epoch_claimed", """{"reason":"recovery","in_doubt":[{"nano_usd":5000}]}""", epoch: 2);
        Add("step_completed", Step("model", "m", "h1", ""","ms":7,"usage":{"nano_usd":10,"input_tokens":3,"output_tokens":4,"prices":"after","answered_by":"other/m"}"""), epoch: 2, key: "k1");
        Add("run_ended", """{"status":"completed"}""", epoch: 2);

        var trace = TraceBuilder.Build("r", _entries);

        Assert.Equal(["crashed", "completed"], trace.Segments.Select(s => s.End));
        Assert.Equal("open", Assert.Single(trace.Segments[0].Items).State);
        Assert.Equal(["before", "after"], trace.Segments.Select(s => Assert.Single(s.Items, i => i.Type == "step").Prices));
        Assert.Contains(TraceLines.Draw(trace, wide: false), line => line.EndsWith("answered by other/m", StringComparison.Ordinal));
        Assert.Equal((7, 10, 5000), (trace.Segments[1].Tokens, trace.Segments[1].NanoUsd, trace.Segments[1].InDoubtNanoUsd));
        Assert.Contains(TraceLines.Draw(trace, wide: false), line => line.Contains("✗ the owner of epoch 1 was lost", StringComparison.Ordinal));
    }

    [Fact]
    public void The_same_call_in_a_row_is_one_bracket_with_the_model_calls_between()
    {
        Add("epoch_claimed", """{"reason":"start"}""", epoch: 1);
        for (var i = 0; i < 4; i++)
        {
            Add("step_completed", Step("model", "m", $"m{i}", ""","ms":2"""), epoch: 1, key: $"m{i}");
            Add("step_completed", Step("tool", "shell", "same", ""","ms":1"""), epoch: 1, key: $"t{i}");
        }

        Add("step_completed", Step("tool", "shell", "other"), epoch: 1, key: "last");

        var items = TraceBuilder.Build("r", _entries).Segments[0].Items;

        Assert.Equal(["step", "loop", "step"], items.Select(i => i.Type));
        Assert.Equal((4, 7), (items[1].Count, items[1].Items.Count));
    }

    [Fact]
    public void Failed_attempts_stand_under_their_step()
    {
        Add("epoch_claimed", """{"reason":"start"}""", epoch: 1);
        Add("step_started", Step("model", "m", "h"), epoch: 1, key: "k");
        Add("step_failed", Step("model", "m", "h", ""","failure":{"code":"provider_throttled","message":"slow down"},"retry_at":"2026-01-01T12:00:05Z" """), epoch: 1, key: "k", attempt: 1);
        Add("step_completed", Step("model", "m", "h"), epoch: 1, key: "k", attempt: 2);

        var step = Assert.Single(TraceBuilder.Build("r", _entries).Segments[0].Items);

        Assert.Equal("ok", step.State);
        Assert.Contains("slow down", Assert.Single(step.Retries), StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_kinds_and_missing_fields_are_shown_not_fatal()
    {
        Add("epoch_claimed", "{}", epoch: 1);
        Add("from_the_future", """{"x":"\u001b[31m"}""", epoch: 1);
        Add("step_completed", "{}", epoch: 1);

        var lines = TraceLines.Draw(TraceBuilder.Build("r", _entries), wide: true).ToList();

        Assert.Contains(lines, line => line.Contains("from_the_future", StringComparison.Ordinal));
        Assert.DoesNotContain(lines, line => line.Contains('\e'));
    }

    private static string Step(string kind, string name, string hash, string more = "") =>
        $$"""{"step":{"kind":"{{kind}}","name":"{{name}}","arguments_hash":"{{hash}}","arguments":"x"}{{more}}}""";

    private void Add(string kind, string body, long epoch = 0, string? key = null, int attempt = 1) =>
        _entries.Add(new JournalEntryView(_entries.Count + 1, kind, Start.AddSeconds(_entries.Count), epoch, key, attempt, JsonDocument.Parse(body).RootElement, null, 0));
}
