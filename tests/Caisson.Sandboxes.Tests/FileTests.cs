using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

public abstract class FileTests(Boxes boxes)
{
    private ISandbox Box => boxes.Shared;

    [Fact]
    public async Task A_written_file_is_read_back_by_call_and_by_command()
    {
        var content = Encoding.UTF8.GetBytes("line\n" + new string('z', 200_000));

        Assert.IsType<FileWriteOutcome.Written>(await Box.WriteFileAsync("made/on/the/way.txt", content, default));

        var found = Assert.IsType<FileReadOutcome.Found>(await Box.ReadFileAsync("/workspace/made/on/the/way.txt", 1 << 20, default));
        Assert.Equal(content, found.Content.ToArray());
        Assert.Equal("agent agent 644", await Box.MustAsync("stat -c '%U %G %a' made/on/the/way.txt"));
        Assert.Equal("line", await Box.MustAsync("head -1 made/on/the/way.txt; rm -r made"));
    }

    [Fact]
    public async Task A_read_stops_at_its_bound_and_tells_the_size()
    {
        await Box.MustAsync("head -c 100000 /dev/zero > long");

        var found = Assert.IsType<FileReadOutcome.Found>(await Box.ReadFileAsync("long", 70_000, default));

        Assert.Equal((70_000, 100_000), (found.Content.Length, found.TotalBytes));
    }

    [Fact]
    public async Task Writing_over_a_script_keeps_it_executable_and_leaves_no_temporary_file()
    {
        await Box.MustAsync("mkdir -p over; echo old > over/run; chmod 755 over/run");

        await Box.WriteFileAsync("over/run", "#!/bin/sh\necho new\n"u8.ToArray(), default);

        Assert.Equal("new\nrun", await Box.MustAsync("over/run; ls -A over; rm -r over"));
    }

    [Fact]
    public async Task A_folder_is_listed_with_kinds_and_sizes_up_to_a_bound()
    {
        await Box.MustAsync("mkdir -p listed/sub; printf abc > listed/file; ln -s file listed/link; mkfifo listed/pipe");

        var all = Assert.IsType<FileListOutcome.Listed>(await Box.ListFilesAsync("listed", 100, default));
        var two = Assert.IsType<FileListOutcome.Listed>(await Box.ListFilesAsync("listed/", 2, default));

        Assert.Equal(["file file 3", "link link", "pipe other", "sub directory"],
            all.Entries.Select(e => e.Kind == "file" ? $"{e.Name} {e.Kind} {e.Size}" : $"{e.Name} {e.Kind}"));
        Assert.Equal((false, 2, true), (all.More, two.Entries.Count, two.More));
        Assert.IsType<FileListOutcome.Listed>(await Box.ListFilesAsync("", 100, default));
        Assert.IsType<FileListOutcome.Listed>(await Box.ListFilesAsync(".", 100, default));
        await Box.MustAsync("rm -r listed");
    }

    [Theory]
    [InlineData("/etc/passwd", ErrorCodes.NotAllowed)]
    [InlineData("../etc/passwd", ErrorCodes.NotAllowed)]
    [InlineData("a/../../etc/passwd", ErrorCodes.NotAllowed)]
    [InlineData("escape/to-etc/passwd", ErrorCodes.NotAllowed)]
    [InlineData("escape/to-passwd", ErrorCodes.NotAllowed)]
    [InlineData("escape/absent", ErrorCodes.ToolArguments)]
    [InlineData("escape", ErrorCodes.ToolArguments)]
    [InlineData("escape/pipe", ErrorCodes.ToolArguments)]
    [InlineData("a\0b", ErrorCodes.ToolArguments)]
    public async Task Reads_stay_in_the_workspace_and_follow_no_link(string path, string code)
    {
        await Box.MustAsync("mkdir -p a escape; ln -sfn /etc escape/to-etc; ln -sfn /etc/passwd escape/to-passwd; [ -p escape/pipe ] || mkfifo escape/pipe; cat escape/to-passwd");

        var refused = Assert.IsType<FileReadOutcome.Refused>(await Box.ReadFileAsync(path, 1000, default));

        Assert.Equal(code, refused.Failure.Code);
    }

    [Theory]
    [InlineData("/tmp/x")]
    [InlineData("../tmp/x")]
    [InlineData("links/out/x")]
    [InlineData("")]
    [InlineData(".")]
    public async Task Writes_stay_in_the_workspace_and_follow_no_link(string path)
    {
        await Box.MustAsync("mkdir -p links; ln -sfn /tmp links/out");

        Assert.IsType<FileWriteOutcome.Refused>(await Box.WriteFileAsync(path, "x"u8.ToArray(), default));
    }

    [Fact]
    public async Task Writing_over_a_link_replaces_the_link_and_not_what_it_names()
    {
        await Box.MustAsync("echo kept > /tmp/target; ln -sfn /tmp/target over-link");

        Assert.IsType<FileWriteOutcome.Written>(await Box.WriteFileAsync("over-link", "new"u8.ToArray(), default));

        Assert.Equal("kept\nnew", await Box.MustAsync("cat /tmp/target over-link; rm over-link /tmp/target"));
    }
}
