using System.Text;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using CsCheck;

namespace Caisson.Core.Tests.Budgets;

public sealed class KillSwitchTests
{
    private static readonly DateTimeOffset At = DateTimeOffset.UnixEpoch.AddYears(55);

    [Fact]
    public void Off_it_refuses_nothing()
    {
        Assert.Null(KillSwitch.Off.Refuses("acme", "report"));
        Assert.Empty(KillSwitch.Off.Orders);
    }

    [Fact]
    public void An_order_stops_what_it_names_and_nothing_else()
    {
        var agent = On(Order(KillScope.Agent, "report"));
        var tenant = On(Order(KillScope.Tenant, "acme"));
        var all = On(Order(KillScope.Everything, null));

        Assert.Equal((true, true, false), (agent.Refuses("acme", "report") is not null, agent.Refuses("other", "report") is not null, agent.Refuses("acme", "Report") is not null));
        Assert.Equal((true, true, false), (tenant.Refuses("acme", "report") is not null, tenant.Refuses("acme", "other") is not null, tenant.Refuses("report", "acme") is not null));
        Assert.NotNull(all.Refuses("any", "thing"));
    }

    [Fact]
    public void Of_several_orders_the_widest_is_named()
    {
        var both = On(Order(KillScope.Agent, "report"), Order(KillScope.Tenant, "acme"));
        var three = On(Order(KillScope.Agent, "report"), Order(KillScope.Tenant, "acme"), Order(KillScope.Everything, null));

        Assert.Equal(KillScope.Tenant, both.Refuses("acme", "report")!.Scope);
        Assert.Equal(KillScope.Everything, three.Refuses("acme", "report")!.Scope);
        Assert.Equal("agent 'report' is stopped by ops: it deletes files", both.Refuses("other", "report")!.Text());
        Assert.Equal("everything is stopped by ops: it deletes files", three.Refuses("x", "y")!.Text());
    }

    [Fact]
    public void Lifting_one_order_leaves_the_others()
    {
        var both = On(Order(KillScope.Agent, "report"), Order(KillScope.Everything, null));

        var one = both.Without(KillScope.Everything, null);

        Assert.NotNull(one.Refuses("acme", "report"));
        Assert.Null(one.Refuses("acme", "other"));
        Assert.NotNull(both.Refuses("acme", "other"));
        Assert.Null(one.Without(KillScope.Agent, "report").Refuses("acme", "report"));
    }

    [Fact]
    public void The_same_name_again_replaces_the_order()
    {
        var twice = On(Order(KillScope.Agent, "report"), Order(KillScope.Agent, "report") with { By = "night shift" });

        Assert.Equal("night shift", Assert.Single(twice.Orders).By);
    }

    public static TheoryData<string, KillOrder> Bad => new()
    {
        { "scope", Order((KillScope)9, "x") },
        { "name", Order(KillScope.Everything, "acme") },
        { "name", Order(KillScope.Tenant, null) },
        { "name", Order(KillScope.Agent, "") },
        { "name", Order(KillScope.Agent, new string('n', 201)) },
        { "by", Order(KillScope.Agent, "report") with { By = "" } },
        { "by", Order(KillScope.Agent, "report") with { By = new string('b', 201) } },
        { "reason", Order(KillScope.Agent, "report") with { Reason = new string('r', 501) } },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void What_is_no_order_changes_nothing_and_says_why(string key, KillOrder order)
    {
        var (same, failure) = KillSwitch.Off.With(order);

        Assert.Same(KillSwitch.Off, same);
        Assert.Equal(ErrorCodes.RequestInvalid, failure?.Code);
        Assert.StartsWith($"{key}: ", failure!.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', failure.Message);
    }

    [Fact]
    public void There_is_a_most_of_orders()
    {
        var full = On([.. Enumerable.Range(0, KillSwitch.MaxOrders).Select(i => Order(KillScope.Agent, $"a{i}"))]);

        Assert.NotNull(full.With(Order(KillScope.Agent, "one-more")).Failure);
        Assert.Null(full.With(Order(KillScope.Agent, "a7")).Failure);
    }

    [Fact]
    public void What_is_written_is_read_again()
    {
        var name = Gen.String[Gen.Char.AlphaNumeric, 1, 12];
        var order = Gen.Select(Gen.Enum<KillScope>(), name, name, Gen.String[0, 30].Null(), Gen.Int[0, 1_000_000])
            .Select((scope, named, by, reason, seconds) => new KillOrder(scope, scope == KillScope.Everything ? null : named, by, reason?.Replace('\ud800', 'x'), At.AddSeconds(seconds)));
        order.Array[0, 8].Sample(orders =>
        {
            var written = On(orders.Select(o => o.Reason is { } r ? o with { Reason = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(r)) } : o).ToArray());

            var (read, failure) = KillSwitch.Parse(written.Write());

            return failure is null && read!.Orders.SequenceEqual(written.Orders);
        }, iter: 500);
    }

    [Fact]
    public void It_is_stored_in_words()
    {
        Assert.Equal(
            """{"schema":1,"orders":[{"scope":"tenant","name":"acme","by":"ops","reason":"it deletes files","at":"2025-01-01T00:00:00+00:00"}]}""",
            Encoding.UTF8.GetString(On(Order(KillScope.Tenant, "acme")).Write()));
    }

    /// <summary>Half understood, it would let run what somebody stopped.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"schema":1}""")]
    [InlineData("""{"schema":1,"orders":null}""")]
    [InlineData("""{"schema":1,"orders":[null]}""")]
    [InlineData("""{"schema":2,"orders":[]}""")]
    [InlineData("""{"orders":[]}""")]
    [InlineData("""{"schema":1,"orders":[],"more":true}""")]
    [InlineData("""{"schema":1,"orders":[{"scope":"agent","name":"a","by":"b","reason":null,"at":"2025-01-01T00:00:00Z","until":"2026-01-01T00:00:00Z"}]}""")]
    [InlineData("""{"schema":1,"orders":[{"scope":"region","name":"a","by":"b","reason":null,"at":"2025-01-01T00:00:00Z"}]}""")]
    [InlineData("""{"schema":1,"orders":[{"scope":2,"name":"a","by":"b","reason":null,"at":"2025-01-01T00:00:00Z"}]}""")]
    [InlineData("""{"schema":1,"orders":[{"scope":"tenant","name":null,"by":"b","reason":null,"at":"2025-01-01T00:00:00Z"}]}""")]
    [InlineData("""{"schema":1,"orders":[{"scope":"tenant","name":"a","by":null,"reason":null,"at":"2025-01-01T00:00:00Z"}]}""")]
    [InlineData("""{"schema":1,"orders":[{"scope":"tenant","name":"a","by":"b","reason":null}]}""")]
    [InlineData("""{"schema":1,"orders":[]} x""")]
    public void What_is_not_understood_to_the_last_field_is_refused(string json)
    {
        var (read, failure) = KillSwitch.Parse(Encoding.UTF8.GetBytes(json));

        Assert.Null(read);
        Assert.Equal(ErrorCodes.ConfigInvalid, failure?.Code);
        Assert.DoesNotContain('\n', failure!.Message);
    }

    [Fact]
    public void Any_bytes_are_read_or_refused_but_never_throw()
    {
        var written = On(Order(KillScope.Tenant, "acme"), Order(KillScope.Agent, "report")).Write();
        Gen.Select(Gen.Int[0, written.Length - 1], Gen.Byte).Sample((at, value) =>
        {
            byte[] broken = [.. written];
            broken[at] = value;
            var (read, failure) = KillSwitch.Parse(broken);
            return read is null != failure is null;
        }, iter: 2_000);
    }

    private static KillOrder Order(KillScope scope, string? name) => new(scope, name, "ops", "it deletes files", At);

    private static KillSwitch On(params KillOrder[] orders) => orders.Aggregate(KillSwitch.Off, (all, order) =>
    {
        var (next, failure) = all.With(order);
        Assert.Null(failure);
        return next;
    });
}
