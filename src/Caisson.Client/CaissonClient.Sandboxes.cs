using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;

namespace Caisson.Client;

/// <summary>The live boxes. A box is named by its id, its run, or the beginning of either.</summary>
public sealed partial class CaissonClient
{
    // Saving a large workspace, writing thousands of files into it, ending a box.
    private static readonly TimeSpan BoxLimit = TimeSpan.FromMinutes(10);

    public Task<SandboxesView> ListSandboxesAsync(CancellationToken cancellationToken) =>
        GetAsync("v1/sandboxes", SandboxJson.Default.SandboxesView, cancellationToken);

    public Task<SandboxPoolView> GetSandboxPoolAsync(CancellationToken cancellationToken) =>
        GetAsync("v1/sandboxes/pool", SandboxJson.Default.SandboxPoolView, cancellationToken);

    /// <summary>Keeps the workspace as it is now, or with <paramref name="live"/> the whole box.</summary>
    public Task<SandboxSnapshotView> SnapshotSandboxAsync(string box, bool live, CancellationToken cancellationToken) =>
        PostAsync($"{BoxPath(box)}/snapshot?live={(live ? "true" : "false")}", SandboxJson.Default.SandboxSnapshotView, cancellationToken);

    public Task<SandboxSnapshotsView> ListSnapshotsAsync(CancellationToken cancellationToken) =>
        GetAsync("v1/sandboxes/snapshots", SandboxJson.Default.SandboxSnapshotsView, cancellationToken);

    /// <summary>Starts a box that goes on where a live one stands, which goes on as well.</summary>
    public Task<SandboxView> ForkSandboxAsync(string box, CancellationToken cancellationToken) =>
        PostAsync($"{BoxPath(box)}/fork", SandboxJson.Default.SandboxView, cancellationToken);

    /// <summary>Starts a box that goes on from a live snapshot.</summary>
    public Task<SandboxView> ForkSnapshotAsync(string snapshot, CancellationToken cancellationToken) =>
        PostAsync($"{SnapshotPath(snapshot)}/fork", SandboxJson.Default.SandboxView, cancellationToken);

    public Task RemoveSnapshotAsync(string snapshot, CancellationToken cancellationToken) => DeleteAsync(SnapshotPath(snapshot), cancellationToken);

    /// <summary>Ends a box; its run gets another one at its next step that needs it.</summary>
    public Task RemoveSandboxAsync(string box, CancellationToken cancellationToken) => DeleteAsync(BoxPath(box), cancellationToken);

    /// <summary>
    /// Runs a command in a box: its output as it comes, and last how it ended. An end without that is a broken
    /// connection, and the command is killed. Who stops reading kills it too.
    /// </summary>
    public async IAsyncEnumerable<SandboxExecEvent> ExecAsync(string box, SandboxExecRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, $"{BoxPath(box)}/exec") { Content = JsonBody(request, SandboxJson.Default.SandboxExecRequest) };
        using var answer = await SendAsync(message, cancellationToken);
        using var lines = new StreamReader(await answer.Content.ReadAsStreamAsync(cancellationToken), Encoding.UTF8);
        while (await LineAsync(lines, cancellationToken) is { } line)
            yield return JsonSerializer.Deserialize(line, SandboxJson.Default.SandboxExecEvent) ?? new SandboxExecEvent();
    }

    /// <summary>Opens a terminal in a box.</summary>
    /// <param name="command">Program and arguments; none for the box's shell.</param>
    /// <param name="term">Kind of the terminal that shows it, as in TERM.</param>
    public async Task<SandboxShell> OpenShellAsync(string box, IReadOnlyList<string> command, string term, SandboxShellSize size, CancellationToken cancellationToken)
    {
        var path = new StringBuilder($"{BoxPath(box)}/shell?rows={size.Rows}&columns={size.Columns}&term={Uri.EscapeDataString(term)}");
        foreach (var argument in command)
            path.Append("&arg=").Append(Uri.EscapeDataString(argument));
        using var message = new HttpRequestMessage(HttpMethod.Get, path.ToString());
        // By hand, and not by the framework's client: that one keeps the problem document of a refusal to itself.
        message.Headers.Connection.Add("Upgrade");
        message.Headers.Upgrade.Add(new ProductHeaderValue("websocket"));
        message.Headers.TryAddWithoutValidation("Sec-WebSocket-Version", "13");
        message.Headers.TryAddWithoutValidation("Sec-WebSocket-Key", Convert.ToBase64String(RandomNumberGenerator.GetBytes(16)));
        var answer = await SendAsync(message, cancellationToken, alsoRead: HttpStatusCode.SwitchingProtocols);
        return new SandboxShell(answer, await answer.Content.ReadAsStreamAsync(cancellationToken));
    }

    /// <summary>A file of a box's workspace, or a folder as a tar archive. The caller disposes of it.</summary>
    public async Task<SandboxCopy> CopyOutAsync(string box, string path, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Get, FilePath(box, path));
        var answer = await SendAsync(message, cancellationToken, BoxLimit);
        var isExecutable = answer.Headers.TryGetValues(SandboxCopyLimits.ModeHeader, out var modes) && modes.First() is [.., '1' or '3' or '5' or '7', _, _];
        return new SandboxCopy(answer, await answer.Content.ReadAsStreamAsync(cancellationToken),
            answer.Content.Headers.ContentType?.MediaType == SandboxCopyLimits.ArchiveType, isExecutable);
    }

    /// <summary>Writes a file into a box's workspace.</summary>
    public Task CopyInAsync(string box, string path, Stream content, bool executable, CancellationToken cancellationToken) =>
        PutAsync($"{FilePath(box, path)}?executable={(executable ? "true" : "false")}", content, cancellationToken);

    /// <summary>Unpacks a tar archive into a folder of a box's workspace.</summary>
    public Task CopyArchiveInAsync(string box, string path, Stream archive, CancellationToken cancellationToken) =>
        PutAsync($"{FilePath(box, path)}?archive=true", archive, cancellationToken);

    /// <summary>Uploads the files that a run is to begin with, as a tar archive. The run has to be created within the hour.</summary>
    public async Task<SavedWorkspaceView> UploadWorkspaceAsync(Stream archive, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, "v1/workspaces") { Content = new StreamContent(archive) };
        message.Content.Headers.ContentType = new(SandboxCopyLimits.ArchiveType);
        using var answer = await SendAsync(message, cancellationToken, BoxLimit);
        return await ReadAsync(answer, SandboxJson.Default.SavedWorkspaceView, cancellationToken);
    }

    private async Task PutAsync(string path, Stream content, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Put, path) { Content = new StreamContent(content) };
        using var answer = await SendAsync(message, cancellationToken, BoxLimit);
    }

    private async Task<T> PostAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, path);
        using var answer = await SendAsync(message, cancellationToken, BoxLimit);
        return await ReadAsync(answer, type, cancellationToken);
    }

    private async Task DeleteAsync(string path, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Delete, path);
        using var answer = await SendAsync(message, cancellationToken, BoxLimit);
    }

    private async Task<string?> LineAsync(StreamReader lines, CancellationToken cancellationToken)
    {
        try
        {
            return await lines.ReadLineAsync(cancellationToken);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw Unreachable(http, e);
        }
    }

    private static string BoxPath(string box) => $"v1/sandboxes/{Uri.EscapeDataString(box)}";

    private static string SnapshotPath(string snapshot) => $"v1/sandboxes/snapshots/{Uri.EscapeDataString(snapshot)}";

    private static string FilePath(string box, string path) => $"{BoxPath(box)}/files/{string.Join('/', path.Split('/').Select(Uri.EscapeDataString))}";
}

/// <summary>What comes out of a box.</summary>
public sealed class SandboxCopy : IDisposable
{
    private readonly HttpResponseMessage _answer;

    internal SandboxCopy(HttpResponseMessage answer, Stream content, bool isArchive, bool isExecutable) =>
        (_answer, Content, IsArchive, IsExecutable) = (answer, content, isArchive, isExecutable);

    public Stream Content { get; }

    /// <summary>A folder, as a tar archive.</summary>
    public bool IsArchive { get; }

    public bool IsExecutable { get; }

    public void Dispose() => _answer.Dispose();
}
