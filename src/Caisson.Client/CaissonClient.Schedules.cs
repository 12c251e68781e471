using System.Net;
using Caisson.Contracts;

namespace Caisson.Client;

/// <content>Schedules.</content>
public sealed partial class CaissonClient
{
    /// <summary>Creates a schedule, or replaces it; the same again changes nothing.</summary>
    public async Task<(ScheduleView Schedule, bool Created)> PutScheduleAsync(string name, ScheduleSpec spec, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Put, SchedulePath(name)) { Content = JsonBody(spec, ScheduleJson.Default.ScheduleSpec) };
        using var answer = await SendAsync(message, cancellationToken);
        return (await ReadAsync(answer, ScheduleJson.Default.ScheduleView, cancellationToken), answer.StatusCode == HttpStatusCode.Created);
    }

    public Task<ScheduleView> GetScheduleAsync(string name, CancellationToken cancellationToken) =>
        GetAsync(SchedulePath(name), ScheduleJson.Default.ScheduleView, cancellationToken);

    public Task<ScheduleList> ListSchedulesAsync(CancellationToken cancellationToken) =>
        GetAsync("v1/schedules", ScheduleJson.Default.ScheduleList, cancellationToken);

    public Task<ScheduleView> PauseScheduleAsync(string name, CancellationToken cancellationToken) =>
        SteerScheduleAsync(name, "pause", cancellationToken);

    public Task<ScheduleView> ResumeScheduleAsync(string name, CancellationToken cancellationToken) =>
        SteerScheduleAsync(name, "resume", cancellationToken);

    /// <summary>Starts a run now, beside the schedule's own times.</summary>
    public async Task<(RunView Run, bool Existing)> TriggerScheduleAsync(string name, string? idempotencyKey, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, $"{SchedulePath(name)}/trigger");
        if (idempotencyKey is not null)
            message.Headers.TryAddWithoutValidation(ApiNames.IdempotencyKey, idempotencyKey);
        using var answer = await SendAsync(message, cancellationToken);
        return (await ReadAsync(answer, ApiJson.Default.RunView, cancellationToken), answer.StatusCode == HttpStatusCode.OK);
    }

    /// <summary>Its runs go on.</summary>
    public async Task RemoveScheduleAsync(string name, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Delete, SchedulePath(name));
        using var answer = await SendAsync(message, cancellationToken);
    }

    private async Task<ScheduleView> SteerScheduleAsync(string name, string verb, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, $"{SchedulePath(name)}/{verb}");
        using var answer = await SendAsync(message, cancellationToken);
        return await ReadAsync(answer, ScheduleJson.Default.ScheduleView, cancellationToken);
    }

    private static string SchedulePath(string name) => $"v1/schedules/{Uri.EscapeDataString(name)}";
}
