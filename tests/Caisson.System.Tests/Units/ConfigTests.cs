using System.Net;
using Caisson.Server.Configuration;

namespace Caisson.System.Tests.Units;

public sealed class ConfigTests
{
    [Fact]
    public void A_whole_file_is_understood()
    {
        var options = Valid("""
            [server]
            listen = "[::1]:0"
            [data]
            directory = "/tmp/x"
            [engine]
            max_concurrent_runs = 7
            drain_limit = "5s"
            [sandbox]
            runsc = "/opt/runsc"
            bwrap = "/opt/bwrap"
            pool = 0
            max_boxes = 40
            memory_reserve = "2GiB"
            max_snapshots = 3
            max_snapshot_bytes = "1GiB"
            fork_life = "2h"
            [sandbox.images]
            python = "oci:/srv/python:3.13"
            [storage]
            key_file = "/etc/caisson/key"
            min_free = "3GiB"
            ballast = "16MiB"
            keep_ended = "7d"
            sweep_every = "10m"
            [providers.openai]
            base_url = "https://api.openai.com/v1"
            api_key_env = "OPENAI_API_KEY"
            timeout = "2m"
            fallback = "work/*, openai/gpt-5-nano"
            fallback_after = "10s"
            max_concurrent = 20
            requests_per_minute = 300
            azure = { api_version = "2024-10-21", deployment = "team" }
            [providers.work]
            base_url = "http://127.0.0.1:8000/v1"
            [providers.openai.prices."gpt-5.1*"]
            input = 0.25
            output = 2
            cached_input = 0.025
            """);

        Assert.Equal(new IPEndPoint(IPAddress.IPv6Loopback, 0), options.Listen);
        Assert.Equal(("/tmp/x", 7, TimeSpan.FromSeconds(5), "/opt/runsc"), (options.DataDirectory, options.MaxConcurrentRuns, options.DrainLimit, options.Sandbox.Runsc));
        Assert.Equal(("/opt/bwrap", 0, 40, 2L << 30), (options.Sandbox.Bwrap, options.Sandbox.Pool, options.Sandbox.MaxBoxes, options.Sandbox.MemoryReserve));
        Assert.Equal((3, 1L << 30, TimeSpan.FromHours(2)), (options.Sandbox.MaxSnapshots, options.Sandbox.MaxSnapshotBytes, options.Sandbox.ForkLife));
        Assert.Equal("oci:/srv/python:3.13", options.Sandbox.Images["python"]);
        Assert.Equal(("/etc/caisson/key", 3L << 30, 16L << 20), (options.Storage.KeyFile, options.Storage.MinFree, options.Storage.Ballast));
        Assert.Equal((TimeSpan.FromDays(7), TimeSpan.FromMinutes(10)), (options.Storage.KeepEnded, options.Storage.SweepEvery));
        var provider = options.Providers[0];
        Assert.Equal(("openai", "OPENAI_API_KEY", TimeSpan.FromMinutes(2)), (provider.Name, provider.ApiKeyEnvironment, provider.Timeout));
        Assert.Equal(["work/*", "openai/gpt-5-nano"], provider.Fallback);
        Assert.Equal((TimeSpan.FromSeconds(10), 20, 300), (provider.FallbackAfter, provider.MaxConcurrent, provider.RequestsPerMinute));
        Assert.Equal(("2024-10-21", "team"), (provider.Azure?.ApiVersion, provider.Azure?.Deployment));
        var price = provider.Prices["gpt-5.1*"];
        Assert.Equal((0.25m, 2m, 0.025m), (price.Input, price.Output, price.CachedInput));
    }

    [Fact]
    public void A_later_source_goes_before_an_earlier_one()
    {
        var (file, _) = TomlSource.Read("[server]\nlisten = \"127.0.0.1:1\"\n[engine]\nmax_concurrent_runs = 5\n", "f");
        var environment = EnvironmentSource.Read(new Dictionary<string, string> { ["CAISSON__SERVER__LISTEN"] = "127.0.0.1:2", ["CAISSON__ENGINE__MAX_CONCURRENT_RUNS"] = "6" });

        var valid = Assert.IsType<ConfigOutcome.Valid>(ConfigReader.Bind([.. file, .. environment, new ConfigSetting(["server", "listen"], "127.0.0.1:3", "--listen")]));

        Assert.Equal((3, 6), (valid.Options.Listen.Port, valid.Options.MaxConcurrentRuns));
    }

    [Fact]
    public void Every_mistake_is_told_at_once()
    {
        var (settings, _) = TomlSource.Read("[server]\nlisten = \"10.0.0.1:80\"\nport = 3\n[providers.x]\nbase_url = \"nonsense\"\n", "f");

        var problems = Assert.IsType<ConfigOutcome.Invalid>(ConfigReader.Bind(settings)).Problems;

        Assert.Equal(["f:2", "f:3", "f:5"], problems.Select(p => p.Where));
    }

    [Theory]
    [InlineData("key_file = \"\"", "empty path")]
    [InlineData("min_free = \"5%\"", "allowed is a size")]
    [InlineData("ballast = 5", "allowed is a size")]
    [InlineData("ballast = \"5000000TiB\"", "allowed is a size")]
    [InlineData("keep_ended = \"never\"", "allowed is off")]
    [InlineData("sweep_every = \"1s\"", "at least 1m")]
    [InlineData("kept = 1", "unknown key")]
    public void A_bad_value_of_the_storage_is_refused_with_what_is_allowed(string line, string part)
    {
        var (settings, _) = TomlSource.Read("[storage]\n" + line, "f");

        var problem = Assert.Single(Assert.IsType<ConfigOutcome.Invalid>(ConfigReader.Bind(settings)).Problems);

        Assert.Contains(part, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[sandbox]\npool = 101", "from 0 to 100")]
    [InlineData("[sandbox]\nmax_boxes = 0", "from 1 to")]
    [InlineData("[sandbox]\nmemory_reserve = \"much\"", "allowed is a size")]
    [InlineData("[sandbox]\nmax_snapshot_bytes = \"much\"", "allowed is a size")]
    [InlineData("[sandbox]\nfork_life = \"60d\"", "allowed is a duration")]
    [InlineData("[sandbox]\npools = 1", "unknown key")]
    [InlineData("[sandbox.images]\nhost = \"dir:/srv\"", "other than host")]
    [InlineData("[sandbox.images]\npython = \"python\"", "allowed is dir:FOLDER")]
    public void A_bad_value_of_the_boxes_is_refused_with_what_is_allowed(string text, string part)
    {
        var (settings, _) = TomlSource.Read(text, "f");

        var problem = Assert.Single(Assert.IsType<ConfigOutcome.Invalid>(ConfigReader.Bind(settings)).Problems);

        Assert.Contains(part, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("fallback = \"gpt-5\"", "names PROVIDER/MODEL")]
    [InlineData("fallback = \"nobody/m\"", "names no configured provider")]
    [InlineData("fallback_after = \"2h\"", "allowed is a duration")]
    [InlineData("max_concurrent = 0", "from 1 to")]
    [InlineData("requests_per_minute = 1.5", "from 1 to")]
    [InlineData("azure = { version = \"v1\" }", "unknown key")]
    public void A_bad_value_of_a_provider_is_refused_with_what_is_allowed(string line, string part)
    {
        var (settings, _) = TomlSource.Read("[providers.x]\nbase_url = \"http://127.0.0.1:1/v1\"\n" + line, "f");

        var problem = Assert.Single(Assert.IsType<ConfigOutcome.Invalid>(ConfigReader.Bind(settings)).Problems);

        Assert.Contains(part, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_off_is_kept_for_ever_and_never_swept()
    {
        var storage = Valid("[storage]\nkeep_ended = \"off\"\nsweep_every = \"off\"\nballast = \"0MiB\"").Storage;

        Assert.Equal((null, null, 0L, null), (storage.KeepEnded, storage.SweepEvery, storage.Ballast, storage.MinFree));
    }

    [Theory]
    [InlineData("a = [1]")]
    [InlineData("a = 2026-01-01")]
    [InlineData("a = 1\na = 2")]
    [InlineData("= 3")]
    public void What_is_no_setting_is_refused(string text) => Assert.NotNull(TomlSource.Read(text, "f").Problem);

    private static ServerOptions Valid(string toml)
    {
        var (settings, problem) = TomlSource.Read(toml, "f");
        Assert.Null(problem);
        return Assert.IsType<ConfigOutcome.Valid>(ConfigReader.Bind(settings)).Options;
    }
}
