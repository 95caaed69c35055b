# Sourced once by the image, on an empty volume. MLflow's role owns its database and may do nothing
# else; psql reads the password from the environment, so that no process list shows it.
psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 --quiet <<'SQL'
\getenv password MLFLOW_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE mlflow, postgres, template1 FROM PUBLIC;
SQL
