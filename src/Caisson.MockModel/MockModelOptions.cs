using System.Net;
using Caisson.MockModel.Scripts;

namespace Caisson.MockModel;

public sealed class MockModelOptions
{
    public required MockScript Script { get; set; }

    /// <summary>Default 127.0.0.1 and a free port.</summary>
    public IPEndPoint Listen { get; set; } = new(IPAddress.Loopback, 0);

    /// <summary>The request log, appended to. Default: none. One server per file.</summary>
    public string? LogFile { get; set; }

    /// <summary>Times the scripted delays. Default: the system's clock.</summary>
    public TimeProvider Time { get; set; } = TimeProvider.System;
}
