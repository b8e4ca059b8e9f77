# An Astro project's image; `astro dev start` builds it. Its base installs packages.txt and requirements.txt, copies the
# project, and so has dags/, plugins/ and include/ where Airflow looks for them.
FROM astrocrpublic.azurecr.io/runtime:3.3-2

# The wheel adds what folders cannot: `airflow oncall ...` and the defaults of the [oncall] section.
# --no-deps: requirements.txt brought the rest, under Airflow's own constraints.
RUN pip install --no-deps .
