using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests;

/// <summary>Boxes on images of their own: a static busybox and what is planted beside it.</summary>
[Collection("gvisor")]
public sealed class ImageTests(GVisorBoxes boxes)
{
    [Theory]
    [InlineData("dir")]
    [InlineData("tar")]
    [InlineData("oci")]
    [InlineData("oci-archive")]
    [InlineData("docker-archive")]
    [InlineData("dir by skopeo")]
    [InlineData("docker")]
    public async Task A_box_sees_its_image_and_nothing_of_the_host(string kind)
    {
        await using var registry = kind == "docker" ? await Registry.StartAsync(boxes.Directory) : null;
        var source = await MakeAsync(kind, registry?.Address);
        await using var host = NewHost(kind, source);

        var box = await StartAsync(host);

        Assert.Equal("from the image", await box.MustAsync("cat /etc/made-here"));
        Assert.Equal("absent", await box.MustAsync("test -e /usr/bin/python3 && echo present || echo absent"));
        Assert.Equal("written", await box.MustAsync("echo written > file; cat file"));
        Assert.Equal("refused", await box.MustAsync("(: > /etc/made-here) 2>/dev/null && echo open || echo refused"));
        await box.DestroyAsync();
        // Once more, from the cache: also without the registry.
        if (registry is not null)
            await registry.DisposeAsync();
        await (await StartAsync(host)).DestroyAsync();
        Assert.Single(Directory.EnumerateDirectories(Path.Combine(boxes.Directory, "image-" + kind, "images")), d => Path.GetFileName(d) != "host");
    }

    [Theory]
    [InlineData("docker://127.0.0.1:5000/box", true)]
    [InlineData("docker://localhost/box:latest", true)]
    [InlineData("docker://[::1]:5000/box", true)]
    [InlineData("docker://registry.example/box", false)]
    [InlineData("docker://127.0.0.1.example/box", false)]
    [InlineData("docker://localhost@registry.example/box", false)]
    [InlineData("docker://192.0.2.1:5000/box", false)]
    [InlineData("oci-archive:/127.0.0.1", false)]
    public void Only_a_registry_on_loopback_may_do_without_tls(string source, bool may) => Assert.Equal(may, Images.ImageStore.IsOnThisHost(source));

    [Fact]
    public async Task An_image_that_nobody_configured_is_refused_by_name()
    {
        await using var host = NewHost("unknown", "dir:/nowhere");

        var unknown = await RefusedAsync(host, "other");
        var missing = await RefusedAsync(host, "box");

        Assert.Contains("no image is named 'other'", unknown.Message, StringComparison.Ordinal);
        Assert.Contains("/nowhere", missing.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCodes.SandboxUnavailable, missing.Code);
    }

    [Theory]
    [InlineData("a path upwards")]
    [InlineData("a file over a link")]
    [InlineData("a hard link over a link")]
    [InlineData("cut short")]
    [InlineData("no archive")]
    public async Task An_archive_that_would_reach_the_host_is_refused_and_reaches_nothing(string trick)
    {
        var victim = Path.Combine(boxes.Directory, "victim-" + trick.Replace(' ', '-'));
        Directory.CreateDirectory(victim);
        await File.WriteAllTextAsync(Path.Combine(victim, "secret"), "host");
        var file = Path.Combine(boxes.Directory, $"trick-{trick.Replace(' ', '-')}.tar");
        await using (var stream = File.Create(file))
        await using (var tar = new TarWriter(stream))
        {
            switch (trick)
            {
                case "a path upwards":
                    await tar.WriteEntryAsync(Entry("../../../../../../" + victim + "/planted", "x"));
                    break;
                case "a file over a link":
                    await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.SymbolicLink, "way") { LinkName = victim });
                    await tar.WriteEntryAsync(Entry("way/planted", "x"));
                    break;
                case "a hard link over a link":
                    await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.SymbolicLink, "way") { LinkName = victim });
                    await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.HardLink, "copy") { LinkName = "way/secret" });
                    break;
                case "no archive":
                    await stream.WriteAsync(Encoding.UTF8.GetBytes(new string('x', 4096)));
                    break;
                default:
                    await tar.WriteEntryAsync(Entry("big", new string('x', 100_000)));
                    break;
            }
        }

        if (trick == "cut short")
            using (var cut = File.OpenHandle(file, FileMode.Open, FileAccess.Write))
                RandomAccess.SetLength(cut, 50_000);
        await using var host = NewHost("trick-" + trick.Replace(' ', '-'), "tar:" + file);

        var failure = await RefusedAsync(host, "box");

        Assert.StartsWith("image 'box'", failure.Message, StringComparison.Ordinal);
        Assert.Equal(["secret"], Directory.EnumerateFileSystemEntries(victim).Select(Path.GetFileName));
    }

    private static PaxTarEntry Entry(string name, string text) =>
        new(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)) };

    private async Task<string> MakeAsync(string kind, string? registry)
    {
        var tree = Path.Combine(boxes.Directory, "tree-" + kind);
        Directory.CreateDirectory(Path.Combine(tree, "bin"));
        Directory.CreateDirectory(Path.Combine(tree, "etc"));
        File.Copy("/bin/busybox", Path.Combine(tree, "bin/busybox"));
        foreach (var name in new[] { "sh", "cat", "test", "ls", "echo" })
            File.CreateSymbolicLink(Path.Combine(tree, "bin", name), "busybox");
        await File.WriteAllTextAsync(Path.Combine(tree, "etc/made-here"), "from the image\n");
        if (kind == "dir")
            return "dir:" + tree;
        if (kind == "tar")
        {
            var file = Path.Combine(boxes.Directory, "image.tar.gz");
            await using var zipped = new GZipStream(File.Create(file), CompressionLevel.Fastest);
            await TarFile.CreateFromDirectoryAsync(tree, zipped, includeBaseDirectory: false);
            return "tar:" + file;
        }

        var layout = Path.Combine(boxes.Directory, "layout-" + kind);
        await RunAsync("umoci", "init", "--layout", layout);
        await RunAsync("umoci", "new", "--image", layout + ":latest");
        await RunAsync("umoci", "insert", "--image", layout + ":latest", tree, "/");
        var source = $"oci:{layout}:latest";
        var copy = Path.Combine(boxes.Directory, "copy-" + kind);
        switch (kind)
        {
            case "oci-archive":
                await RunAsync("skopeo", "copy", source, $"oci-archive:{copy}");
                return $"oci-archive:{copy}";
            case "docker-archive":
                await RunAsync("skopeo", "copy", source, $"docker-archive:{copy}:box:latest");
                return $"docker-archive:{copy}";
            case "dir by skopeo":
                await RunAsync("skopeo", "copy", source, $"dir:{copy}");
                return $"dir:{copy}";
            case "docker":
                await RunAsync("skopeo", "copy", "--dest-tls-verify=false", source, $"docker://{registry}/box:latest");
                return $"docker://{registry}/box:latest";
            default:
                return source;
        }
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var said = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {said}");
    }

    private BoxHost NewHost(string name, string source) => new(
        new SandboxOptions
        {
            StateDirectory = Path.Combine(boxes.Directory, "image-" + name), GuestPath = Boxes.Guest, Images = new Dictionary<string, string> { ["box"] = source },
        },
        boxes.Blobs, TimeProvider.System, NullLogger.Instance);

    private static async Task<ISandbox> StartAsync(BoxHost host) =>
        Assert.IsType<SandboxCreateOutcome.Started>(await BoxProvider.GVisor(host).CreateAsync(Spec("box"), default)).Sandbox;

    private static async Task<Failure> RefusedAsync(BoxHost host, string image) =>
        Assert.IsType<SandboxCreateOutcome.Refused>(await BoxProvider.GVisor(host).CreateAsync(Spec(image), default)).Failure;

    private static SandboxSpec Spec(string image) => new(default, 1, new SandboxSettings { Image = image }, null);
}
