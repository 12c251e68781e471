using System.Formats.Tar;
using System.IO.Compression;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;

namespace Caisson.Sandboxes.Images;

/// <summary>
/// The images that boxes of this server may have: <c>host</c>, and those that its configuration names. A manifest names
/// an image and never a path, since whoever writes manifests need not be allowed to read the host's files.
/// <para>
/// An image is unpacked once, into a folder named by its digest: first under another name, then renamed, so a folder
/// with the final name is whole. Afterwards nothing writes there.
/// </para>
/// </summary>
#pragma warning disable CA1001 // A semaphore without a wait handle holds nothing.
internal sealed class ImageStore(SandboxOptions options, string folder, TimeProvider time)
#pragma warning restore CA1001
{
    public const string Host = "host";

    private static readonly TimeSpan ToolLimit = TimeSpan.FromMinutes(10);

    private readonly SemaphoreSlim _turn = new(1);
    private readonly Dictionary<string, BoxImage> _ready = [];

    /// <summary>Makes the image of the host's own programs anew. No box of this server may live.</summary>
    public void Prepare(string guest)
    {
        Directory.CreateDirectory(folder);
        _ready[Host] = HostImage.Build(Path.Combine(folder, Host), guest);
    }

    /// <summary>Whether the name is one that the configuration has.</summary>
    public Failure? Check(string name) => name == Host || options.Images.ContainsKey(name) ? null : Missing($"no image is named '{name}': the server's configuration has {Known()}");

    /// <summary>Takes the image from the cache or unpacks it; or answers why it cannot be had.</summary>
    public async Task<(BoxImage? Image, Failure? Failure)> ResolveAsync(string name, string guest, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (_ready.TryGetValue(name, out var ready))
                return (ready, null);
            if (Check(name) is { } unknown)
                return (null, unknown);
            var (kind, path) = Split(options.Images[name]);
            var digest = await DigestAsync(kind, path, guest, cancellationToken);
            var place = Path.Combine(folder, digest);
            if (!Directory.Exists(place))
                await UnpackAsync(kind, path, place, guest, cancellationToken);
            return (_ready[name] = new BoxImage(place, digest, null), null);
        }
        catch (CaissonException e)
        {
            return (null, e.ToFailure() with { Message = $"image '{name}': {e.Message}" });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return (null, Missing($"image '{name}' ({options.Images[name]}): {e.Message}"));
        }
        finally
        {
            _turn.Release();
        }
    }

    private string Known() => options.Images.Count == 0 ? "no images beside host" : "host, " + string.Join(", ", options.Images.Keys.Order(StringComparer.Ordinal));

    private static Failure Missing(string message) => new(ErrorCodes.SandboxUnavailable, message);

    private static (string Kind, string Path) Split(string source)
    {
        var colon = source.IndexOf(':', StringComparison.Ordinal);
        var kind = colon < 0 ? "" : source[..colon];
        return kind is "dir" or "tar" or "oci" or "docker" or "oci-archive" or "docker-archive"
            ? (kind, source[(colon + 1)..])
            : throw new CaissonException(ErrorCodes.ConfigInvalid, $"'{source}' is no image: write dir:FOLDER, tar:FILE, oci:FOLDER:TAG, oci-archive:FILE, docker-archive:FILE or docker://NAME");
    }

    /// <summary>Of the guest agent too, which is part of the unpacked image: another version makes another folder.</summary>
    private static async Task<string> DigestAsync(string kind, string path, string guest, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{kind}\n"));
        hash.AppendData(await File.ReadAllBytesAsync(guest, cancellationToken));
        switch (kind)
        {
            case "dir":
                foreach (var entry in new DirectoryInfo(path).EnumerateFileSystemInfos("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }).OrderBy(e => e.FullName, StringComparer.Ordinal))
                    hash.AppendData(Encoding.UTF8.GetBytes(FormattableString.Invariant(
                        $"{entry.FullName}\0{(int)entry.UnixFileMode}\0{entry.LastWriteTimeUtc.Ticks}\0{(entry as FileInfo)?.Length}\0{entry.LinkTarget}\n")));
                break;
            case "oci":
                // The index names the manifests by their digests.
                hash.AppendData(Encoding.UTF8.GetBytes(path));
                hash.AppendData(await File.ReadAllBytesAsync(Path.Combine(path[..path.LastIndexOf(':')], "index.json"), cancellationToken));
                break;
            case "docker":
                hash.AppendData(Encoding.UTF8.GetBytes(path));
                break;
            default:
                await using (var file = File.OpenRead(path))
                    hash.AppendData(await SHA256.HashDataAsync(file, cancellationToken));
                break;
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private async Task UnpackAsync(string kind, string path, string place, string guest, CancellationToken cancellationToken)
    {
        var scratch = $"{place}.new";
        if (Directory.Exists(scratch))
            Directory.Delete(scratch, recursive: true);
        Directory.CreateDirectory(scratch);
        try
        {
            var tree = kind switch
            {
                "oci" => await OciAsync(path, scratch, cancellationToken),
                "docker" or "oci-archive" or "docker-archive" => await OciAsync(await FetchAsync($"{kind}:{path}", scratch, cancellationToken), scratch, cancellationToken),
                "dir" when IsCopy(path) => await OciAsync(await FetchAsync($"dir:{path}", scratch, cancellationToken), scratch, cancellationToken),
                _ => await TarAsync(kind, path, scratch, cancellationToken),
            };
            using (var root = ImageFolder.Open(tree))
                BoxImage.Finish(root, guest);
            Directory.Move(tree, place);
        }
        finally
        {
            if (Directory.Exists(scratch))
                Directory.Delete(scratch, recursive: true);
        }
    }

    private static async Task<string> TarAsync(string kind, string path, string scratch, CancellationToken cancellationToken)
    {
        var tree = Path.Combine(scratch, "rootfs");
        Directory.CreateDirectory(tree);
        using var root = ImageFolder.Open(tree);
        if (kind == "dir")
        {
            // A folder becomes an archive on the way, so that both are checked by the same code.
            var pipe = new Pipe();
            var writing = Task.Run(async () =>
            {
                await using var to = pipe.Writer.AsStream();
                await TarFile.CreateFromDirectoryAsync(path, to, includeBaseDirectory: false, cancellationToken);
            }, cancellationToken);
            await using (var from = pipe.Reader.AsStream())
                await ImageUnpack.RunAsync(from, root, cancellationToken);
            await writing;
            return tree;
        }

        await using var file = File.OpenRead(path);
        var isZipped = file.ReadByte() == 0x1f && file.ReadByte() == 0x8b;
        file.Position = 0;
        await using var archive = isZipped ? new GZipStream(file, CompressionMode.Decompress) : (Stream)file;
        await ImageUnpack.RunAsync(archive, root, cancellationToken);
        return tree;
    }

    private async Task<string> FetchAsync(string source, string scratch, CancellationToken cancellationToken)
    {
        var layout = $"{Path.Combine(scratch, "layout")}:image";
        await ToolAsync("skopeo", ["copy", "--quiet", .. IsOnThisHost(source) ? (string[])["--src-tls-verify=false"] : [], source, $"oci:{layout}"], cancellationToken);
        return layout;
    }

    /// <summary>A registry on loopback, which nobody between can pretend to be: it may speak without TLS. No other may.</summary>
    internal static bool IsOnThisHost(string source) =>
        Uri.TryCreate(source, UriKind.Absolute, out var name) && name is { Scheme: "docker", IsLoopback: true, UserInfo: "" };

    /// <summary>Whether a folder is what <c>skopeo copy … dir:FOLDER</c> made: an image's parts and not its files.</summary>
    private static bool IsCopy(string folder)
    {
        var version = new FileInfo(Path.Combine(folder, "version"));
        if (version is not { Exists: true, Length: < 100 } || !File.Exists(Path.Combine(folder, "manifest.json")))
            return false;
        return File.ReadAllText(version.FullName).StartsWith("Directory Transport Version", StringComparison.Ordinal);
    }

    private async Task<string> OciAsync(string layout, string scratch, CancellationToken cancellationToken)
    {
        var bundle = Path.Combine(scratch, "bundle");
        await ToolAsync("umoci", ["unpack", "--image", layout, bundle], cancellationToken);
        return Path.Combine(bundle, "rootfs");
    }

    private async Task ToolAsync(string tool, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        if (Boxes.HostTools.Find(null, tool) is not { } program)
            throw new CaissonException(ErrorCodes.SandboxUnavailable, $"{tool} is not installed: OCI images need it (apt-get install {tool})");
        var ran = await OutsideProgram.RunAsync(program, arguments, ToolLimit, time, cancellationToken);
        if (ran.ExitCode != 0)
            throw new CaissonException(ErrorCodes.SandboxUnavailable, $"{tool}: {ran.Output.Trim().Split('\n')[^1]}");
    }
}
