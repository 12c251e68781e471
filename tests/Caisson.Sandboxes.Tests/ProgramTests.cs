namespace Caisson.Sandboxes.Tests;

/// <summary>Programs of the host do their work in a box, and do not notice its walls.</summary>
public abstract class ProgramTests(Boxes boxes)
{
    [Fact]
    public async Task Ordinary_programs_do_not_notice_the_filter()
    {
        await boxes.Shared.MustAsync("mkdir -p plain; cd plain; mkfifo pipe; mknod pipe2 p; ln -sfn pipe link; echo x > file; ls -la . / 2> err >/dev/null; test ! -s err; cp -a file copy; tar cf /tmp/t.tar file link; python3 -c 'import threading; t=threading.Thread(target=print); t.start(); t.join()'; rm -r /workspace/plain /tmp/t.tar");
    }

    [Theory]
    [InlineData("awk 'BEGIN { print 40 + 2 }'")]
    [InlineData("perl -e 'print 42'")]
    [InlineData("python3 -c 'import ssl, sqlite3, json; print(42)'")]
    [InlineData("python3 -c 'import multiprocessing as m; p = m.Pool(2); print(sum(p.map(abs, [-40, -2])))'")]
    [InlineData("python3 -c 'import asyncio, sys; print(asyncio.run(asyncio.create_subprocess_exec(\"true\")) and 42)'")]
    [InlineData("git init -q repo && cd repo && echo x > f && git add f && git -c user.name=a -c user.email=a@b commit -qm m && git status --porcelain && echo 42; rm -rf /workspace/repo")]
    [InlineData("printf 'int main(void) { return 42; }' > c.c && gcc -o c c.c && ./c; echo $?; rm -f c c.c")]
    [InlineData("id -un | sed s/agent/42/")]
    public async Task Tools_of_the_host_work(string command) => Assert.Equal("42", await boxes.Shared.MustAsync(command));

    [Fact]
    public async Task Only_processes_of_the_box_are_seen()
    {
        var processes = await boxes.Shared.MustAsync("ps axo args");

        Assert.Contains("ps axo args", processes, StringComparison.Ordinal);
        Assert.Contains("/.caisson/guest init", processes, StringComparison.Ordinal);
        Assert.DoesNotContain("dotnet", processes, StringComparison.Ordinal);
    }
}
