using System.Net;
using System.Net.Sockets;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Serve;

/// <summary>A server that cannot start says why in one line, ends with 3, and changes nothing.</summary>
public sealed class StartTests
{
    [Theory]
    [InlineData("[server]\nlisten = \"0.0.0.0:80\"\n", "caisson.toml:2", "loopback")]
    [InlineData("[server]\nlisten = 7\n", "caisson.toml:2", "ADDRESS:PORT")]
    [InlineData("[sever]\nlisten = \"127.0.0.1:0\"\n", "caisson.toml:2", "sever.listen")]
    [InlineData("[engine]\nmax_concurrent_runs = -3\n", "caisson.toml:2", "whole number")]
    [InlineData("[providers.x]\nbase_url = \"ftp://x\"\n", "caisson.toml:2", "base_url")]
    [InlineData("[server\n", "caisson.toml:1", "TOML")]
    public async Task A_mistake_in_the_configuration_is_told_with_its_place(string toml, string place, string says)
    {
        using var folder = new Folder();
        folder.Write("caisson.toml", toml);

        var answer = await CaissonProgram.RunAsync(["serve", "--data", Path.Combine(folder.Path, "data")], directory: folder.Path);

        Assert.Equal(3, answer.Exit);
        Assert.Contains(place, answer.ErrorLine, StringComparison.Ordinal);
        Assert.Contains(says, answer.ErrorLine, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(folder.Path, "data")));
    }

    [Fact]
    public async Task A_flag_goes_before_the_environment_and_that_before_the_file()
    {
        using var folder = new Folder();
        folder.Write("caisson.toml", "[server]\nlisten = \"file:1\"\n");
        var environment = new Dictionary<string, string> { ["CAISSON__SERVER__LISTEN"] = "environment:1" };

        // Every source is checked, so the place of each mistake shows that it was read.
        var answer = await CaissonProgram.RunAsync(["serve", "--listen", "flag:1", "--supervise"], directory: folder.Path, environment: environment);

        Assert.Equal(3, answer.Exit);
        var lines = answer.Error.TrimEnd('\n').Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.Contains("CAISSON__SERVER__LISTEN", lines[1], StringComparison.Ordinal);
        Assert.Contains("--listen", lines[2], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("this is a text, not a database, and it is long enough to be looked at as one ...", "not a database")]
    [InlineData("SQLite format 3\0damaged damaged damaged damaged damaged damaged damaged damaged damaged damaged damaged", "")]
    public async Task A_database_that_is_not_ours_is_left_as_it_is(string content, string says)
    {
        using var folder = new Folder();
        var data = Directory.CreateDirectory(Path.Combine(folder.Path, "data")).FullName;
        var database = Path.Combine(data, "caisson.db");
        await File.WriteAllTextAsync(database, content);

        var answer = await CaissonProgram.RunAsync(["serve", "--supervise", "--data", data, "--listen", "127.0.0.1:0"]);

        Assert.Equal(3, answer.Exit);
        Assert.Contains(database, answer.ErrorLine, StringComparison.Ordinal);
        Assert.Contains(says, answer.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(content, await File.ReadAllTextAsync(database));
    }

    [Fact]
    public async Task A_data_directory_serves_one_server_at_a_time()
    {
        await using var server = await ServerProcess.StartAsync();

        var second = await CaissonProgram.RunAsync(["serve", "--data", server.Data, "--listen", "127.0.0.1:0"]);

        Assert.Equal(3, second.Exit);
        Assert.Contains("another server uses", second.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_port_that_is_taken_is_told(bool supervise)
    {
        using var folder = new Folder();
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();

        string[] command = ["serve", "--data", Path.Combine(folder.Path, "data"), "--listen", other.LocalEndpoint.ToString()!];
        var answer = await CaissonProgram.RunAsync(supervise ? [.. command, "--supervise"] : command);

        Assert.Equal(3, answer.Exit);
        Assert.Contains(other.LocalEndpoint.ToString()!, answer.ErrorLine, StringComparison.Ordinal);
    }
}
