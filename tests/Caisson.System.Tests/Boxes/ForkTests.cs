using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;
using Caisson.System.Tests.Kill;

namespace Caisson.System.Tests.Boxes;

/// <summary>Live snapshots and forks of a box in the middle of its run's step, by the command line, over the death of the server.</summary>
public sealed class ForkTests
{
    private const string Script = """
        scripts:
          - model: waiter
            turns:
              - { say: I begin., call: { name: shell, arguments: { command: "echo begun > begun.txt; i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i > n.new; mv n.new n; sleep 0.05; done; touch ended; echo counted" } } }
              - { say: Late., delay: 10m }
        """;

    [Fact]
    public async Task A_fork_is_a_box_of_nobody_and_dies_with_the_server_while_its_snapshot_stays()
    {
        Residue.Of residue;
        string snapshots;
        await using (var server = await ServerProcess.StartAsync(script: Script, more: "[sandbox]\npool = 0\nmax_snapshots = 2\n"))
        {
            residue = Residue.At(server.Data);
            snapshots = Path.Combine(server.Data, "boxes", "snapshots");
            var run = await server.CreateAsync(ServerProcess.ManifestOf("waiter", BoxServer.Manifest));
            await Until.AsyncValue("the tool call", () => server.RunAsync("sandbox", "exec", run, "--", "test", "-e", "n"), answer => answer.Exit == 0);
            var box = Assert.Single((await server.Client.ListSandboxesAsync(CancellationToken.None)).Sandboxes).Id;
            var journal = (await server.Client.GetRunAsync(run, CancellationToken.None)).LastSeq;

            // A snapshot, a fork of it, and a fork of the box: each goes on, and so does the box.
            var snapshot = await OutAsync(server, "sandbox", "snapshot", "--live", box[..8]);
            var first = await OutAsync(server, "sandbox", "fork", snapshot[..10]);
            var second = await OutAsync(server, "sandbox", "fork", run);
            foreach (var fork in new[] { box, first, second })
            {
                var before = await CountAsync(server, fork);
                await Until.AsyncValue("the fork goes on", () => CountAsync(server, fork), n => n > before + 5);
            }

            // It is worked in like any box, and what happens in it is nobody's but its own.
            await OutAsync(server, "sandbox", "exec", first, "--", "sh", "-c", "echo mine > mine.txt; touch stop");
            await Until.AsyncValue("the process ends in one", () => server.RunAsync("sandbox", "exec", first, "--", "test", "-e", "ended"), answer => answer.Exit == 0);
            Assert.Equal(1, (await server.RunAsync("sandbox", "exec", second, "--", "test", "-e", "ended")).Exit);
            Assert.Equal(1, (await server.RunAsync("sandbox", "exec", box, "--", "test", "-e", "mine.txt")).Exit);
            using (var folder = new Folder())
            {
                await OutAsync(server, "sandbox", "cp", $"{first}:mine.txt", folder.Path);
                Assert.Equal("mine\n", await File.ReadAllTextAsync(Path.Combine(folder.Path, "mine.txt"), TestContext.Current.CancellationToken));
            }

            var listed = JsonSerializer.Deserialize(await OutAsync(server, "sandbox", "list", "-o", "json"), SandboxJson.Default.SandboxesView)!.Sandboxes;
            Assert.Equal([box, first, second], listed.Select(b => b.Id));
            Assert.Equal((null, new SandboxOriginView(snapshot, box, run, journal)), (listed[1].Run, listed[1].Origin));
            Assert.Equal((null, new SandboxOriginView(null, box, run, journal)), (listed[2].Run, listed[2].Origin));
            Assert.Equal(journal, (await server.Client.GetRunAsync(run, CancellationToken.None)).LastSeq);

            // The run's own step ends as ever, with what its own command said.
            await OutAsync(server, "sandbox", "exec", box, "--", "touch", "stop");
            await Until.AsyncValue("the tool call's end", () => server.Client.GetRunAsync(run, CancellationToken.None), view => view.ToolCalls == 1);
            Assert.Contains("counted", await OutAsync(server, "journal", run, "--payloads", "-o", "jsonl"), StringComparison.Ordinal);
            await Until.AsyncValue("the box at rest", () => server.Client.ListSandboxesAsync(CancellationToken.None), all => all.Sandboxes.Any(b => b.Id == box && b.State == SandboxState.Frozen));
            Assert.Equal(snapshot, Assert.Single(Directory.EnumerateDirectories(snapshots).Select(Path.GetFileName)));

            var full = await OutAsync(server, "sandbox", "snapshot", box);
            var one = await server.RunAsync("sandbox", "snapshot", box);
            Assert.Equal(6, one.Exit);
            Assert.Contains("max_snapshots", one.ErrorLine, StringComparison.Ordinal);
            await OutAsync(server, "sandbox", "rm", full);
            await OutAsync(server, "sandbox", "rm", second);
            Assert.Equal(5, (await server.RunAsync("sandbox", "rm", second)).Exit);

            // The server dies with a live fork and in the middle of another snapshot.
            await server.KillAsync();
            await Until.True("the boxes die with the server", () => !residue.Find().Any(r => r.StartsWith("process", StringComparison.Ordinal)));
            Directory.CreateDirectory(Path.Combine(snapshots, "snap-0123456789abcdef", "state"));
            await server.LaunchAsync();

            Assert.Equal(snapshot, Assert.Single(Directory.EnumerateDirectories(snapshots).Select(Path.GetFileName)));
            Assert.DoesNotContain((await server.Client.ListSandboxesAsync(CancellationToken.None)).Sandboxes, b => b.Origin is not null);
            var third = await OutAsync(server, "sandbox", "fork", snapshot);
            Assert.Equal("begun\n", (await server.RunAsync("sandbox", "exec", third, "--", "cat", "begun.txt")).Out);
            var kept = await CountAsync(server, third);
            await Until.AsyncValue("the process goes on in the next server's fork", () => CountAsync(server, third), n => n > kept + 5);
            await OutAsync(server, "sandbox", "rm", snapshot);
            Assert.Empty((await server.Client.ListSnapshotsAsync(CancellationToken.None)).Snapshots);
            await server.AssertSoundAsync();
            Assert.Equal(0, await server.StopAsync());
            Assert.Empty(residue.Find());
            Assert.Empty(Directory.EnumerateFileSystemEntries(snapshots));
        }
    }

    private static async Task<int> CountAsync(ServerProcess server, string box) => int.Parse(await OutAsync(server, "sandbox", "exec", box, "--", "cat", "n"), CultureInfo.InvariantCulture);

    private static async Task<string> OutAsync(ServerProcess server, params string[] arguments)
    {
        var answer = await server.RunAsync(arguments);
        Assert.True(answer.Exit == 0, $"{string.Join(' ', arguments)}: {answer.Exit} {answer.Error}");
        return answer.Out.TrimEnd('\n');
    }
}
