using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>The examples of <c>docs/in-box-api.md</c>, run as they stand there, with the clients that are shipped, on the host's Python and Node.</summary>
public sealed class InBoxExampleTests
{
    private static readonly string Shipped = Path.Combine(AppContext.BaseDirectory, "clients");

    [Fact]
    public async Task The_example_in_Python_works_and_its_steps_are_in_the_trace()
    {
        await using var server = await ServerProcess.StartAsync();
        using var folder = With("caisson.py", "agent.py", "python");
        var begun = await server.RunAsync("exec", "--dir", folder.Path, "--input", "order 7", "--detach", "--", "python3", "agent.py");
        Assert.True(begun.Exit == 0, begun.Error);
        var id = begun.Out.Trim();
        Assert.Equal(0, (await server.RunAsync("signal", id, "shipped", "--data", "\"on monday\"")).Exit);

        var run = await server.EndedAsync(id);

        Assert.Equal(RunStatus.Completed, run.Status);
        Assert.Equal($"order 7 on monday {id.Length + 1 + 64}", run.Result);
        var trace = await server.RunAsync("trace", id);
        Assert.Contains("""named charge {"order": "order 7"}""", trace.Out, StringComparison.Ordinal);
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task The_example_in_JavaScript_works_and_killed_it_starts_no_second_children()
    {
        await using var server = await ServerProcess.StartAsync();
        using var folder = With("caisson.mjs", "agent.mjs", "js");
        var begun = await server.RunAsync("exec", "--dir", folder.Path, "--input", "one two", "--detach", "--", "node", "agent.mjs");
        Assert.True(begun.Exit == 0, begun.Error);
        var id = begun.Out.Trim();
        await Until.AsyncValue("it waits for its children", () => server.Client.GetRunAsync(id, CancellationToken.None), view => view.Waiting == WaitReason.Child || view.Status.IsFinal());

        await server.KillAsync();
        await server.LaunchAsync();
        var run = await server.EndedAsync(id);

        Assert.Equal((RunStatus.Completed, "ONE-TWO"), (run.Status, run.Result));
        var spawned = 0;
        await foreach (var entry in server.Client.ReadJournalAsync(id, 0, payloads: true, CancellationToken.None))
            spawned += entry.Kind == "child_spawned" ? 1 : 0;
        Assert.Equal(2, spawned);
        await server.AssertSoundAsync();
    }

    /// <summary>A folder with the client, and the example of the page in this language beside it.</summary>
    private static Folder With(string client, string name, string language)
    {
        var folder = new Folder();
        folder.Write(client, File.ReadAllText(Path.Combine(Shipped, client)));
        var page = File.ReadAllText(Path.Combine(Shipped, "in-box-api.md"));
        var from = page.IndexOf($"```{language}\n", StringComparison.Ordinal) + language.Length + 4;
        folder.Write(name, page[from..page.IndexOf("\n```", from, StringComparison.Ordinal)] + "\n");
        return folder;
    }
}
