"""A web service that uploads in the background, and tells how far it is.

    UPLOAD_TO=s3://BUCKET/PREFIX uvicorn examples.fastapi_app:app

POST /uploads?source=DIRECTORY begins one, GET /uploads/0 looks after it, DELETE /uploads/0 stops it.
"""

from __future__ import annotations

import os

from fastapi import BackgroundTasks, FastAPI, HTTPException

from s3_upload import ConfigError, Running, start_upload

app = FastAPI()
uploads: list[Running] = []


@app.post("/uploads", status_code=202)
def begin(source: str, tasks: BackgroundTasks) -> dict[str, int]:
    try:
        running = start_upload(source, os.environ["UPLOAD_TO"])
    except ConfigError as error:
        raise HTTPException(400, str(error)) from error
    uploads.append(running)
    tasks.add_task(log_the_end, running)
    return {"number": len(uploads) - 1}


@app.get("/uploads/{number}")
def look(number: int) -> dict[str, object]:
    summary = uploads[number].summary()
    return {"done": uploads[number].done, "uploaded": summary.uploaded, "failed": len(summary.failed)}


@app.delete("/uploads/{number}")
def stop(number: int) -> dict[str, object]:
    uploads[number].cancel()
    return look(number)


async def log_the_end(running: Running) -> None:
    print(await running)
