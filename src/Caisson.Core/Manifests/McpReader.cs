using Caisson.Contracts;
using Caisson.Core.Egress;

namespace Caisson.Core.Manifests;

/// <summary>Reads the section <c>mcp</c> of a manifest: the servers of tools that a program finds at the gateway.</summary>
internal static class McpReader
{
    private const int MostServers = 16;
    private const int MostTools = 200;
    private const int LongestTool = 128;

    internal static IReadOnlyList<McpServerSettings>? Read(YamlSection root)
    {
        if (root.Section("mcp") is not { } mcp)
            return null;
        if (root.Section("process") is null)
            throw root.Bad("mcp", "an agent that is no program", "mcp beside process: only programs come through the gateway");
        mcp.Allow("servers");
        if (mcp.Section("servers") is not { Keys.Count: > 0 } servers)
            throw mcp.Bad("servers", "nothing", "servers by their names, each with command or url");
        if (servers.Keys.Count > MostServers)
            throw mcp.Bad("servers", $"{servers.Keys.Count} servers", $"at most {MostServers}");
        return [.. servers.Keys.Order(StringComparer.Ordinal).Select(name => Server(servers, name))];
    }

    private static McpServerSettings Server(YamlSection servers, string name)
    {
        if (!EgressNames.IsName(name))
            throw servers.Bad(name, name, EgressNames.Allowed);
        var server = servers.Section(name)!;
        server.Allow("command", "env", "url", "secret", "stateless", "timeout", "effect", "approval", "on_unknown", "tools");
        var isProgram = server.Keys.Contains("command");
        if (isProgram == server.Keys.Contains("url"))
            throw servers.Bad(name, isProgram ? "command and url" : "neither command nor url", "exactly one of command and url");
        if (isProgram && server.Keys.Contains("secret"))
            throw server.Bad("secret", "secret beside command", "secret beside url: a program uses secrets by the rules under egress");
        if (!isProgram && server.Keys.Contains("env"))
            throw server.Bad("env", "env beside url", "env beside command");
        var otherwise = Tool(server, new McpToolSettings());
        return new McpServerSettings(name, isProgram ? ProcessReader.Command(server) : null)
        {
            Environment = ProcessReader.Variables(server) is { Count: > 0 } variables ? variables : null,
            Url = isProgram ? null : Url(server),
            Secret = Secret(server),
            Stateless = server.Word("stateless", YesNo.False) == YesNo.True,
            Timeout = server.Duration("timeout", TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)),
            Default = otherwise,
            Tools = server.Section("tools") is { } tools ? Tools(tools, otherwise) : null,
        };
    }

    private static Dictionary<string, McpToolSettings> Tools(YamlSection tools, McpToolSettings otherwise)
    {
        if (tools.Keys.Count > MostTools)
            throw tools.Bad(tools.Keys.First(), $"{tools.Keys.Count} tools", $"at most {MostTools}");
        var read = new Dictionary<string, McpToolSettings>(StringComparer.Ordinal);
        foreach (var name in tools.Keys)
        {
            if (name.Length is 0 or > LongestTool)
                throw tools.Bad(name, $"{name.Length} characters", $"a tool's name of 1 to {LongestTool} characters");
            var tool = tools.Section(name)!;
            tool.Allow("effect", "approval", "on_unknown");
            read[name] = Tool(tool, otherwise);
        }

        return read;
    }

    private static McpToolSettings Tool(YamlSection section, McpToolSettings otherwise) => new()
    {
        Effect = section.Word("effect", otherwise.Effect),
        Approval = section.Word("approval", otherwise.Approval),
        OnUnknown = section.Word("on_unknown", otherwise.OnUnknown),
    };

    private static string Url(YamlSection server)
    {
        var text = server.RequiredText("url", 2_000);
        var isUrl = Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "https" or "http" && url.UserInfo.Length == 0 && url.Query.Length == 0 && url.Fragment.Length == 0
            && HostName.TryParse(url.Host.Trim('[', ']')) is not null && PathPattern.Canonical(url.AbsolutePath) is not null;
        if (!isUrl)
            throw server.Bad("url", text, "https://HOST[:PORT]/PATH, without user, query and fragment");
        if (url!.Scheme == "http" && server.Keys.Contains("secret"))
            throw server.Bad("url", text, "https:// beside secret, because plain HTTP would show it to everybody on the way");
        return url.AbsoluteUri;
    }

    private static string? Secret(YamlSection server)
    {
        var secret = server.Text("secret", 63);
        if (secret is not null && !EgressNames.IsName(secret))
            throw server.Bad("secret", secret, EgressNames.Allowed);
        return secret;
    }

    /// <summary>As YAML writes it.</summary>
    private enum YesNo
    {
        False = 1,
        True = 2,
    }
}
