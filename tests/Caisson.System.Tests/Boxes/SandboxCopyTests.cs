using System.Formats.Tar;
using System.Net;
using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Boxes;

/// <summary>Files out of a box and into it, with what a hostile box or archive would try.</summary>
[Collection(nameof(BoxServer))]
public sealed class SandboxCopyTests(BoxServer boxes)
{
    private readonly ServerProcess _server = boxes.Server;

    [Fact]
    public async Task A_folder_comes_out_without_the_links_that_lead_elsewhere()
    {
        using var folder = new Folder();
        var to = Path.Combine(folder.Path, "copy");

        var answer = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:out", to);
        var again = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:out", folder.Write("taken", ""));

        Assert.Contains("left out: 'planted' is a link to '/etc/passwd'", answer.Error, StringComparison.Ordinal);
        Assert.Contains("left out: 'upwards' is a link to '../..'", answer.Error, StringComparison.Ordinal);
        Assert.Equal(1, answer.Exit);
        Assert.Equal("report\n", await File.ReadAllTextAsync(Path.Combine(to, "inner")));
        Assert.Equal("report.md", new FileInfo(Path.Combine(to, "inner")).LinkTarget);
        Assert.True(OperatingSystem.IsWindows() || File.GetUnixFileMode(Path.Combine(to, "way", "run.sh")).HasFlag(UnixFileMode.UserExecute));
        Assert.False(Path.Exists(Path.Combine(to, "planted")) || Path.Exists(Path.Combine(to, "upwards")));
        Assert.True(File.Exists(Path.Combine(to, "new\nline")) && File.Exists(Path.Combine(to, "bad\\xff")));
        Assert.Contains("is there already", again.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(2, again.Exit);
    }

    [Fact]
    public async Task A_file_comes_out_and_never_through_a_link_on_either_side()
    {
        using var folder = new Folder();
        var victim = folder.Write("victim", "safe");
        File.CreateSymbolicLink(Path.Combine(folder.Path, "link"), victim);

        var copied = await _server.RunAsync("sandbox", "cp", $"{boxes.Run}:/workspace/out/report.md", Path.Combine(folder.Path, "link"));
        var planted = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:out/planted", folder.Path);
        var through = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:out/upwards/etc/passwd", folder.Path);
        var absolute = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:/etc/passwd", folder.Path);
        var upwards = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:out/../../etc/passwd", folder.Path);
        var missing = await _server.RunAsync("sandbox", "cp", $"{boxes.Box}:nothing", folder.Path);

        Assert.Equal((0, "safe"), (copied.Exit, await File.ReadAllTextAsync(victim)));
        Assert.Equal("report\n", await File.ReadAllTextAsync(Path.Combine(folder.Path, "link")));
        Assert.Contains("is a link to '/etc/passwd'", planted.ErrorLine, StringComparison.Ordinal);
        Assert.Equal((5, 5), (through.Exit, missing.Exit));
        Assert.Equal((2, 2), (absolute.Exit, upwards.Exit));
        Assert.False(File.Exists(Path.Combine(folder.Path, "passwd")));
    }

    [Fact]
    public async Task A_file_and_a_folder_go_in()
    {
        using var folder = new Folder();
        Directory.CreateDirectory(Path.Combine(folder.Path, "tree", "empty"));
        folder.Write("tree/run.sh", "#!/bin/sh\ncat \"$(dirname \"$0\")/data\"\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path.Combine(folder.Path, "tree", "run.sh"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        folder.Write("tree/new\nline", "");
        folder.Write("tree/-data", "brought\n");
        File.CreateSymbolicLink(Path.Combine(folder.Path, "tree", "data"), "-data");

        var one = await _server.RunAsync("sandbox", "cp", Path.Combine(folder.Path, "tree", "run.sh"), $"{boxes.Box}:in/");
        var tree = await _server.RunAsync("sandbox", "cp", Path.Combine(folder.Path, "tree"), $"{boxes.Box}:in/");
        var ran = await _server.RunAsync("sandbox", "exec", boxes.Box, "--", "sh", "-c", "test -x in/run.sh && test -d in/tree/empty && test -e \"$(printf 'in/tree/new\\nline')\" && in/tree/run.sh");

        Assert.Equal((0, 0), (one.Exit, tree.Exit));
        Assert.Equal((0, "brought\n"), (ran.Exit, ran.Out));
        await boxes.RestingAsync(boxes.Run);
    }

    [Fact]
    public async Task A_folder_with_a_way_out_or_a_pipe_does_not_go_in()
    {
        using var folder = new Folder();
        Directory.CreateDirectory(Path.Combine(folder.Path, "linked"));
        File.CreateSymbolicLink(Path.Combine(folder.Path, "linked", "way"), "/etc");
        Directory.CreateDirectory(Path.Combine(folder.Path, "piped"));
        using (var made = global::System.Diagnostics.Process.Start("mkfifo", [Path.Combine(folder.Path, "piped", "pipe")]))
            await made.WaitForExitAsync();

        var linked = await _server.RunAsync("sandbox", "cp", Path.Combine(folder.Path, "linked"), $"{boxes.Box}:in/");
        var piped = await _server.RunAsync("sandbox", "cp", Path.Combine(folder.Path, "piped"), $"{boxes.Box}:in/");
        var neither = await _server.RunAsync("sandbox", "cp", "here", "there");

        Assert.Equal((2, 2, 2), (linked.Exit, piped.Exit, neither.Exit));
        Assert.Contains("is a link to '/etc'", linked.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("is no file", piped.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("BOX:PATH", neither.ErrorLine, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("upwards")]
    [InlineData("absolute")]
    [InlineData("device")]
    [InlineData("link out")]
    [InlineData("link up over a link")]
    [InlineData("file below a link")]
    [InlineData("hard link")]
    [InlineData("twice")]
    [InlineData("garbage")]
    public async Task A_hostile_archive_is_refused_before_anything_of_it_is_written(string trick)
    {
        using var content = new ByteArrayContent(await ArchiveAsync(trick));

        using var answer = await _server.Http.PutAsync(new Uri($"v1/sandboxes/{boxes.Box}/files/hostile?archive=true", UriKind.Relative), content);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Equal(ErrorCodes.RequestInvalid, JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(), ApiJson.Default.Problem)!.Code);
        Assert.Equal(1, (await _server.RunAsync("sandbox", "exec", boxes.Box, "--", "test", "-e", "hostile")).Exit);
    }

    [Fact]
    public async Task A_web_page_can_open_no_shell()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"v1/sandboxes/{boxes.Box}/shell");
        request.Headers.Add("Origin", "http://evil.example");
        request.Headers.Connection.Add("Upgrade");
        request.Headers.TryAddWithoutValidation("Upgrade", "websocket");
        request.Headers.TryAddWithoutValidation("Sec-WebSocket-Version", "13");
        request.Headers.TryAddWithoutValidation("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
        using var foreign = await _server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var plain = await _server.Http.GetAsync(new Uri($"v1/sandboxes/{boxes.Box}/shell", UriKind.Relative));

        Assert.Equal((HttpStatusCode.Forbidden, HttpStatusCode.BadRequest), (foreign.StatusCode, plain.StatusCode));
    }

    private static async Task<byte[]> ArchiveAsync(string trick)
    {
        var bytes = new MemoryStream();
        if (trick == "garbage")
            return [.. Enumerable.Repeat((byte)'x', 2048)];
        await using (var tar = new TarWriter(bytes, TarEntryFormat.Pax, leaveOpen: true))
        {
            await tar.WriteEntryAsync(Entry(TarEntryType.RegularFile, "good.txt"));
            foreach (var entry in trick switch
            {
                "upwards" => [Entry(TarEntryType.RegularFile, "a/../../evil")],
                "absolute" => [Entry(TarEntryType.RegularFile, "/etc/evil")],
                "device" => [Entry(TarEntryType.CharacterDevice, "zero")],
                "link out" => [Entry(TarEntryType.SymbolicLink, "way", "/etc")],
                "link up over a link" => [Entry(TarEntryType.SymbolicLink, "a/b/root", "../.."), Entry(TarEntryType.SymbolicLink, "out", "a/b/root/..")],
                "file below a link" => [Entry(TarEntryType.SymbolicLink, "way", "."), Entry(TarEntryType.RegularFile, "way/evil")],
                "hard link" => [Entry(TarEntryType.HardLink, "hard", "good.txt")],
                _ => new[] { Entry(TarEntryType.RegularFile, "good.txt") },
            })
                await tar.WriteEntryAsync(entry);
        }

        return bytes.ToArray();
    }

    private static PaxTarEntry Entry(TarEntryType type, string name, string? target = null)
    {
        var entry = new PaxTarEntry(type, name);
        if (target is not null)
            entry.LinkName = target;
        if (type == TarEntryType.RegularFile)
            entry.DataStream = new MemoryStream(Encoding.UTF8.GetBytes("evil"));
        return entry;
    }
}
